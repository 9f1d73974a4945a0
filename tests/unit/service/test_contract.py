"""The service keeps what its OpenAPI description says: schemathesis asks what the description allows, and what not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi.checks import positive_data_acceptance

from fakes import ColourEncoder
from rsitr.search import Index
from rsitr.service import ServiceSettings, create_app
from servers import run_app

EXAMPLES = 12

# `positive_data_acceptance` is left out: that a search asks for something, and its days are in order, no schema can
# say, and what is refused for it is in test_searches.


@pytest.fixture(scope="module")
def api_schema(archive: Path, encoder: ColourEncoder) -> Iterator[Any]:
    app = create_app(ServiceSettings(index=archive, rate_per_s=0), index=Index.open(archive, encoder=encoder))
    with run_app(app) as url:
        yield schemathesis.openapi.from_url(f"{url}/api/openapi.json")


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_every_operation_keeps_its_description(api_schema: Any, mode: schemathesis.GenerationMode) -> None:
    operations = [found.ok() for found in api_schema.get_all_operations()]
    assert len(operations) >= 12
    for operation in operations:

        @settings(max_examples=EXAMPLES, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def keeps(case: schemathesis.Case) -> None:
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        try:
            keeps()
        except Unsatisfiable:  # nothing can be wrong with a request that carries nothing
            assert mode is schemathesis.GenerationMode.NEGATIVE
            assert not operation.body
            assert not operation.path_parameters


def test_every_operation_is_described_with_its_errors(api_schema: Any) -> None:
    paths = api_schema.raw_schema["paths"]
    assert {"/api/search", "/api/pictures", "/api/scenes", "/api/tiles/{tile}/picture.jpg"} <= set(paths)
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation["description"], f"{method} {path}"
            assert {"401", "403", "413", "429"} <= set(operation["responses"]), f"{method} {path}"
    examples = api_schema.raw_schema["components"]["schemas"]["SearchBody"]["examples"]
    assert examples[0]["text"] == "a river with a bridge"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/api/searchs", 404), ("DELETE", "/api/index", 405)])
def test_a_wrong_address_leads_to_the_description(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    (described,) = re.findall(r"/api/\S+\.json", answer.json()["error"]["detail"])
    assert "/api/search" in client.get(described).json()["paths"]
