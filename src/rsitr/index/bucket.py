"""A bucket in which an index lies: its small files, its lock, and what its tables' names tell.

Readers need what LanceDB and pyarrow bring. Who writes holds an object `.lock`, which is made only if it is not there:
conditional requests are what boto3 is for.
"""

from __future__ import annotations

import os
import time
from functools import cached_property
from typing import Any

from rsitr.buckets import explain_bucket, find_endpoint, open_bucket
from rsitr.errors import StoreError
from rsitr.extras import need
from rsitr.index.address import Address
from rsitr.index.lease import STALE_S, Lease, Owner
from rsitr.index.names import LOCK, PUBLISHED, TABLE_FOLDERS
from rsitr.index.state import version_of

__all__ = ["Bucket"]

SEEN_S = 0.3
"""What another process writes is noticed after so long at the latest; what this one writes, at once."""
_seen: dict[str, tuple[float, tuple[int | None, int]]] = {}


class Bucket:
    """Where an index lies in a bucket."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._root = f"{address.host}/{address.name}"

    @cached_property
    def _files(self) -> Any:
        return open_bucket()

    @cached_property
    def _client(self) -> Any:
        need("boto3", what="writing an index into a bucket", error=StoreError)
        import boto3
        from botocore.config import Config

        settings = Config(connect_timeout=10, read_timeout=60, retries={"max_attempts": 3})
        return boto3.client("s3", endpoint_url=find_endpoint(), config=settings)

    def options(self) -> dict[str, str]:
        """What LanceDB needs to know beside the credentials, which it finds as others do."""
        endpoint = find_endpoint()
        found = {"aws_region": os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"}
        if endpoint is not None:
            found |= {"aws_endpoint": endpoint, "allow_http": str(endpoint.startswith("http://")).lower()}
        if os.environ.get("AWS_NO_SIGN_REQUEST", "NO").upper() in {"YES", "ON", "TRUE"}:
            found["aws_skip_signature"] = "true"
        return found

    def list_files(self) -> dict[str, str]:
        """The small files that are there, each with what tells its states apart."""
        return {
            info.base_name: f"{info.size} {info.mtime_ns}" for info in self._list("") if info.base_name in PUBLISHED
        }

    def is_other(self) -> bool:
        """Whether something else lies there."""
        return any(info.base_name not in {*PUBLISHED, *TABLE_FOLDERS, LOCK} for info in self._list(""))

    def read(self, name: str) -> bytes:
        """What a file holds."""
        try:
            with self._files.open_input_stream(f"{self._root}/{name}") as stream:
                found: bytes = stream.readall()
                return found
        except OSError as error:
            raise self._trouble(error) from error

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        try:
            with self._files.open_output_stream(f"{self._root}/{name}") as stream:
                stream.write(content)
        except OSError as error:
            raise self._trouble(error) from error

    def newest(self, table: str) -> tuple[int | None, int]:
        """The number of a table's latest state, None where there is none, and what tells tables of one number apart."""
        key = f"{find_endpoint()} {self._root}/{table}"
        at, found = _seen.get(key, (-SEEN_S, (None, 0)))
        if time.monotonic() - at >= SEEN_S:
            at = time.monotonic()
            infos = {info.base_name: info for info in self._list(f"/{table}/_versions")}
            version = version_of(infos)
            stamp = min(infos) if version is not None else ""
            found = (version, int(infos[stamp].mtime_ns or 0) if stamp else 0)
            _seen[key] = (at, found)
        return found

    def forget(self) -> None:
        """What this process has written is seen at once."""
        for key in [key for key in _seen if f" {self._root}/" in key]:
            _seen.pop(key, None)

    def measure(self) -> int:
        """Bytes that the index takes there."""
        return sum(info.size or 0 for info in self._list("", recursive=True))

    def clear(self) -> None:
        """Take away an index of which nothing has come; the lock stays."""
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.address.host, Prefix=f"{self.address.name}/"
            )
            keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
            own = {*PUBLISHED, *TABLE_FOLDERS}
            for key in keys:
                if key.removeprefix(f"{self.address.name}/").partition("/")[0] in own:
                    self._client.delete_object(Bucket=self.address.host, Key=key)
        except Exception as error:
            raise self._trouble(error) from error
        self.forget()

    def hold(self) -> Lease:
        """Become the one who writes.

        Raises:
            StoreError: somebody else is, or the bucket refuses.
        """
        where = {"Bucket": self.address.host, "Key": f"{self.address.name}/{LOCK}"}
        try:
            tag = self._take(where)
        except StoreError:
            raise
        except Exception as error:
            raise self._trouble(error) from error
        own, held = Owner().spell().encode(), {"tag": tag}

        def renew() -> bool:
            from botocore.exceptions import ClientError

            try:
                held["tag"] = self._client.put_object(**where, Body=own, IfMatch=held["tag"])["ETag"]
            except ClientError as error:
                if _status(error) in {404, 409, 412}:
                    return False
                raise
            return True

        def release() -> None:
            from botocore.exceptions import BotoCoreError, ClientError

            try:
                if self._client.head_object(**where)["ETag"] == held["tag"]:
                    self._client.delete_object(**where)
            except (BotoCoreError, ClientError):  # it is forgotten after a while
                return

        return Lease(self.address, renew=renew, release=release)

    def _take(self, where: dict[str, str]) -> str:
        from botocore.exceptions import ClientError

        own = Owner().spell().encode()
        try:
            return str(self._client.put_object(**where, Body=own, IfNoneMatch="*")["ETag"])
        except ClientError as error:
            if _status(error) not in {409, 412}:
                raise
        try:
            there = self._client.get_object(**where)
            owner = Owner.read(there["Body"].read())
            # Both times are the server's: whose clock is right does not matter.
            now = there["ResponseMetadata"]["HTTPHeaders"].get("date")
            if not (owner.has_ended() or _age_s(there["LastModified"], now=now) > STALE_S):
                raise owner.refuse(self.address)
            return str(self._client.put_object(**where, Body=own, IfMatch=there["ETag"])["ETag"])
        except ClientError as error:
            if _status(error) not in {404, 409, 412}:
                raise
            raise StoreError(
                f"{self.address}: another process has just begun to write this index, or ended; try again"
            ) from error

    def _list(self, below: str, *, recursive: bool = False) -> list[Any]:
        from pyarrow import fs

        selector = fs.FileSelector(f"{self._root}{below}", allow_not_found=True, recursive=recursive)
        try:
            found: list[Any] = self._files.get_file_info(selector)
        except OSError as error:
            raise self._trouble(error) from error
        if not found and not below:
            self._require_bucket()
        return found

    def _require_bucket(self) -> None:
        """Raises StoreError if it is not there, which a listing of what is below it does not tell."""
        from pyarrow import fs

        try:
            (about,) = self._files.get_file_info([self.address.host])
        except OSError as error:
            raise self._trouble(error) from error
        if about.type == fs.FileType.NotFound:
            raise self._trouble(FileNotFoundError("NoSuchBucket"))

    def _trouble(self, error: BaseException) -> StoreError:
        reason = explain_bucket(error) or str(error).strip().splitlines()[0]
        return StoreError(f"{self.address}: {reason}")


def _status(error: Any) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def _age_s(changed: Any, *, now: str | None) -> float:
    import email.utils

    then = time.time() if now is None else email.utils.parsedate_to_datetime(now).timestamp()
    return float(then - changed.timestamp())
