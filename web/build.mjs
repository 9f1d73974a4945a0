// Builds the page: `node build.mjs [FOLDER]` writes it there, in place of what was there before.
import { createHash } from "node:crypto";
import { chmod, cp, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { feature } from "topojson-client";

const here = dirname(fileURLToPath(import.meta.url));
const require = createRequire(import.meta.url);
const target = resolve(process.argv[2] ?? join(here, "../src/rsitr/service/static"));

/** Copies a file under a name with a hash of its content, so that it may be cached for ever; returns that name. */
async function copyHashed(source, stem, extension, folder) {
  return writeHashed(await readFile(source), stem, extension, folder);
}

async function writeHashed(content, stem, extension, folder) {
  const name = `${stem}-${createHash("sha256").update(content).digest("hex").slice(0, 8).toUpperCase()}${extension}`;
  await writeFile(join(folder, name), content);
  return name;
}

/** A ring that goes on beyond 180 degrees instead of leaping around the world; one around the pole closes along it. */
function unwind(ring) {
  let turns = 0;
  const found = ring.map(([x, y], i) => {
    const leap = i ? x - ring[i - 1][0] : 0;
    if (Math.abs(leap) > 180) turns -= Math.sign(leap);
    return [x + 360 * turns, y];
  });
  if (!turns) return found;
  const [first, last] = [found[0], found.at(-1)];
  return [...found, [last[0], -90], [first[0], -90], first];
}

const LAND_STEPS = 10; // to a degree: 11 km, less than a pixel of the whole world on a screen
const LEAST_LAND = 6; // steps that an island spans

/**
 * The coasts of the world as rings of whole numbers, each the step from the one before it: a third of the size that
 * they have as GeoJSON.
 */
async function drawWorld() {
  const atlas = JSON.parse(await readFile(require.resolve("world-atlas/land-110m.json"), "utf8"));
  const lands = feature(atlas, atlas.objects.land).features.flatMap(({ geometry }) => geometry.coordinates);
  const rings = [];
  for (const ring of lands.flat()) {
    const points = unwind(ring).map((at) => at.map((value) => Math.round(value * LAND_STEPS)));
    const kept = points.filter((at, i) => !i || at[0] !== points[i - 1][0] || at[1] !== points[i - 1][1]);
    const spans = [0, 1].map((i) => Math.max(...kept.map((at) => at[i])) - Math.min(...kept.map((at) => at[i])));
    if (kept.length < 4 || Math.max(...spans) < LEAST_LAND) continue;
    rings.push(kept.flatMap((at, i) => (i ? [at[0] - kept[i - 1][0], at[1] - kept[i - 1][1]] : at)));
  }
  return JSON.stringify({ steps: LAND_STEPS, rings });
}

/** The map's style sheet without controls that the page has not: most of it is their icons. */
const trimStyle = {
  name: "trim-style",
  setup({ onLoad }) {
    const absent = /fullscreen|shrink|compass|geolocate|globe|terrain|attrib|logo|popup|cooperative|user-location/;
    onLoad({ filter: /maplibre-gl\.css$/ }, async ({ path }) => {
      const whole = await readFile(path, "utf8");
      const kept = whole.replace(/([^{}]+)\{[^{}]*\}/g, (rule, selectors) =>
        selectors.split(",").every((selector) => absent.test(selector)) ? "" : rule,
      );
      return { contents: kept, loader: "css" };
    });
  },
};

/** Every package that the page carries, by its folder: those under "dependencies" and what they need in turn. */
async function listBundled() {
  const found = new Map();
  const visit = async (name, from) => {
    const folder = await findPackage(name, from);
    if (found.has(folder)) return;
    const record = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    found.set(folder, record);
    for (const needed of Object.keys(record.dependencies ?? {})) await visit(needed, folder);
  };
  const own = JSON.parse(await readFile(join(here, "package.json"), "utf8"));
  for (const name of Object.keys(own.dependencies)) await visit(name, here);
  return [...found].sort(([, a], [, b]) => (a.name < b.name ? -1 : 1));
}

async function findPackage(name, from) {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    const there = await readFile(join(candidate, "package.json")).catch(() => null);
    if (there) return candidate;
    if (folder === dirname(folder)) throw new Error(`${name} is not installed: run npm install in web/`);
  }
}

/** Their licences for people, and a list for the bill of materials that the wheel carries (packaging/sbom.py). */
async function writeLicences(folder) {
  const parts = ["What this page carries beside its own code, and under which licence.\n"];
  const list = [];
  for (const [where, record] of await listBundled()) {
    const needs = Object.keys(record.dependencies ?? {}).sort();
    list.push({ name: record.name, version: record.version, license: record.license ?? null, needs });
    const files = (await readdir(where)).filter((name) => /^(licen[cs]e|copying|notice)/i.test(name)).sort();
    const texts = await Promise.all(files.map((name) => readFile(join(where, name), "utf8")));
    const author = typeof record.author === "string" ? record.author : record.author?.name;
    const text = texts.join("\n").trim() || `No text is part of the package.${author ? ` Author: ${author}` : ""}`;
    parts.push(`${"=".repeat(100)}\n${record.name} ${record.version}\n${record.license ?? "see below"}\n\n${text}\n`);
  }
  await writeFile(join(folder, "licenses.txt"), parts.join("\n"));
  await writeFile(join(folder, "packages.json"), `${JSON.stringify(list, null, 1)}\n`);
}

await mkdir(dirname(target), { recursive: true });
// Built beside the target and moved into place: an interrupted build leaves the page as it was.
const folder = await mkdtemp(join(dirname(target), ".static-"));
try {
  const worker = await copyHashed(
    require.resolve("maplibre-gl/dist/maplibre-gl-worker.mjs"),
    "map-worker",
    ".js",
    folder,
  );
  const world = await writeHashed(Buffer.from(await drawWorld()), "world", ".json", folder);
  const icon = await copyHashed(join(here, "src/icon.svg"), "icon", ".svg", folder);
  const { metafile } = await build({
    absWorkingDir: here,
    entryPoints: { app: "src/main.ts" },
    outdir: folder,
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    minify: true,
    charset: "utf8", // escapes would make Chinese twice as long
    legalComments: "none", // licenses.txt has them in full
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    define: { MAP_WORKER: JSON.stringify(worker), WORLD: JSON.stringify(world) },
    metafile: true,
    loader: { ".lazy.css": "text" }, // comes with the code that needs it
    plugins: [trimStyle],
    logLevel: "warning",
  });
  const [script, { cssBundle }] = Object.entries(metafile.outputs).find(
    ([, output]) => output.entryPoint === "src/main.ts",
  );
  const page = (await readFile(join(here, "src/index.html"), "utf8"))
    .replaceAll("{{script}}", basename(script))
    .replaceAll("{{style}}", basename(cssBundle))
    .replaceAll("{{icon}}", icon);
  await writeFile(join(folder, "index.html"), page);
  await writeLicences(folder);
  await chmod(folder, 0o755); // mkdtemp keeps others out
  await rm(target, { recursive: true, force: true });
  await rename(folder, target).catch(() => cp(folder, target, { recursive: true }));
} finally {
  await rm(folder, { recursive: true, force: true });
}
console.log(`built ${target}`);
