"""Pictures that people send, to search with them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.datastructures import UploadFile

from rsitr.service.errors import TooLargeError, UnsupportedError
from rsitr.service.replies import PictureReply
from rsitr.service.routes.wiring import EngineOf, errors_of, json_response
from rsitr.service.uploads import decode_upload

__all__ = ["pictures"]

KEEP = 2  # times what the model sees: the encoder reduces it further

pictures = APIRouter(tags=["search"])

BINARY = {"schema": {"type": "string", "format": "binary"}}
FORM = {
    "schema": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}},
        "required": ["file"],
    }
}


@pictures.post(
    "/api/pictures",
    status_code=201,
    response_model=PictureReply,
    responses=errors_of(415, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"image/jpeg": BINARY, "image/png": BINARY, "image/webp": BINARY, "multipart/form-data": FORM},
        }
    },
)
async def post_picture(request: Request, engine: EngineOf) -> Response:
    """Send a picture (JPEG, PNG or WebP), as the body or as the field `file` of a form.

    It is kept for a while, reduced to what the model can see, and named in searches by its id.
    """
    settings = engine.settings
    content = await _content(request)
    if len(content) > settings.max_upload_bytes:
        raise TooLargeError(f"the picture is larger than {settings.max_upload_bytes:,} bytes")
    keep_px = KEEP * engine.index.model.image_size_px
    upload = await engine.render(lambda: decode_upload(content, max_px=settings.max_upload_px, keep_px=keep_px))
    return json_response(
        {
            "picture": await engine.common.keep_picture(upload.image),
            "width": upload.size_px[0],
            "height": upload.size_px[1],
            "expires_s": settings.picture_expiry_s,
        },
        status=201,
    )


async def _content(request: Request) -> bytes:
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await request.body()
    async with request.form(max_files=1, max_fields=4) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise UnsupportedError("the form has no file in a field named `file`")
        return await file.read()
