"""What a person does with the plugin, done in a QGIS without windows; run by QGIS's own Python, prints JSON.

Usage: PYTHON tests/qgis_session.py PLUGIN_FOLDER SERVICE
"""

import json
import re
import sys
import tempfile

sys.path.insert(0, sys.argv[1])
SERVICE = sys.argv[2]

from qgis.core import (  # noqa: E402
    Qgis,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsExpression,
    QgsExpressionContext,
    QgsExpressionContextUtils,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsRectangle,
    QgsSettings,
    QgsVectorLayer,
)
from qgis.gui import QgsMapCanvas  # noqa: E402
from qgis.PyQt.QtCore import QEventLoop, QTimer  # noqa: E402
from qgis.PyQt.QtWidgets import QMainWindow  # noqa: E402

QgsApplication.setPrefixPath("/usr", True)
application = QgsApplication([], True, tempfile.mkdtemp())
application.initQgis()
QgsSettings().clear()


class Bar:
    """Keeps what it is told to show."""

    def __init__(self):
        self.shown = []

    def pushMessage(self, title, text, level):
        self.shown.append(text)


class Interface:
    """As much of QGIS's window as the plugin asks for."""

    def __init__(self):
        self.window, self.canvas, self.bar, self.icons, self.docks = QMainWindow(), QgsMapCanvas(), Bar(), [], []

    def mainWindow(self):
        return self.window

    def mapCanvas(self):
        return self.canvas

    def messageBar(self):
        return self.bar

    def addDockWidget(self, area, dock):
        self.docks.append(dock)

    def removeDockWidget(self, dock):
        self.docks.remove(dock)

    def addToolBarIcon(self, action):
        self.icons.append(action)

    def removeToolBarIcon(self, action):
        self.icons.remove(action)

    def addPluginToWebMenu(self, menu, action):
        self.icons.append(action)

    def removePluginWebMenu(self, menu, action):
        self.icons.remove(action)


def wait(dock, seconds=60):
    """Until the dock's search is over."""
    loop, clock = QEventLoop(), QTimer()
    clock.timeout.connect(lambda: loop.quit() if dock._task is None else None)
    clock.start(20)
    QTimer.singleShot(seconds * 1000, loop.quit)
    loop.exec_()


def tip(layer, feature):
    """What the map tip of a feature says."""
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    context.setFeature(feature)
    shown = QgsExpression.replaceExpressionText(layer.mapTipTemplate(), context)
    return re.sub(r"(data:image/jpeg;base64,)[A-Za-z0-9+/=]{500,}", r"\1PICTURE", shown)


def tell(layer):
    """What is in a layer."""
    rows = [
        {
            "rank": feature["rank"],
            "relevance": feature["relevance"],
            "place": feature["place"],
            "area": feature.geometry().area(),
            "box": [getattr(feature.geometry().boundingBox(), side)() for side in ("xMinimum", "yMinimum")],
            "tip": tip(layer, feature),
        }
        for feature in layer.getFeatures()
    ]
    return {
        "name": layer.name(),
        "crs": layer.crs().authid(),
        "rows": rows,
        "legend": [rule.label() for rule in layer.renderer().rootRule().children()],
    }


import rsitr_search  # noqa: E402

interface = Interface()
plugin = rsitr_search.classFactory(interface)
plugin.initGui()
dock = plugin.dock
told = {"version": Qgis.QGIS_VERSION}
dock.address.setText(SERVICE + "/ogc")

dock.in_extent.setChecked(False)
dock.words.setText("red")
dock.search()
wait(dock)
told["everywhere"] = {"said": dock.said.text(), "layer": tell(next(iter(QgsProject.instance().mapLayers().values())))}

QgsProject.instance().removeAllMapLayers()
interface.canvas.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:32614"))
interface.canvas.setExtent(QgsRectangle(485000, 5208000, 487000, 5210000))
dock.in_extent.setChecked(True)
dock.only_matches.setChecked(True)
dock.search()
wait(dock)
told["extent"] = {"said": dock.said.text(), "layer": tell(next(iter(QgsProject.instance().mapLayers().values())))}

QgsProject.instance().removeAllMapLayers()
dock.words.setText("  ")
dock.search()
wait(dock)
told["empty"] = {
    "said": dock.said.text(),
    "bar": interface.bar.shown[:],
    "layers": len(QgsProject.instance().mapLayers()),
}
dock.words.setText("red")
dock.address.setText("http://127.0.0.1:9")
dock.search()
wait(dock)
told["unreachable"] = dock.said.text()
dock.address.setText("no address at all")
dock.search()
told["no address"] = dock.said.text()

algorithm = QgsApplication.processingRegistry().algorithmById("rsitr:search")
context, feedback = QgsProcessingContext(), QgsProcessingFeedback()
context.setProject(QgsProject.instance())
given = {"WORDS": "red", "SERVICE": SERVICE, "LIMIT": 3, "EXTENT": "-99.3,-99.1,47,47.1 [EPSG:4326]"}
results, ok = algorithm.run({**given, "OUTPUT": "TEMPORARY_OUTPUT"}, context, feedback)
layer = context.takeResultLayer(results["OUTPUT"])
told["algorithm"] = {"ok": ok, "n": layer.featureCount(), "state": results["STATE"], "matched": results["MATCHED"]}

source = f"url='{SERVICE}/ogc?q=red' typename='search' pageSize='100'"
native = QgsVectorLayer(source, "native", "OAPIF")
told["without the plugin"] = {"valid": native.isValid(), "n": sum(1 for _ in native.getFeatures())}

plugin.unload()
left = [
    len(interface.icons),
    len(interface.docks),
    QgsApplication.processingRegistry().providerById("rsitr") is not None,
]
told["left"] = left
print("TOLD " + json.dumps(told, default=str))
sys.stdout.flush()
import os  # noqa: E402

os._exit(0)  # QGIS and Qt quarrel over who is torn down first
