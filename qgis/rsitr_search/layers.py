"""Results as a layer of QGIS, styled by relevance, with pictures in its map tips; and the way to ask over HTTP."""

from __future__ import annotations

import json
from typing import Any, Mapping

from qgis.core import (
    QgsBlockingNetworkRequest,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsFeedback,
    QgsField,
    QgsFields,
    QgsFillSymbol,
    QgsGeometry,
    QgsJsonUtils,
    QgsProject,
    QgsRectangle,
    QgsRuleBasedRenderer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QUrl, QVariant
from qgis.PyQt.QtNetwork import QNetworkRequest

from .client import Answer, Fetch
from .styling import FIELDS, MAP_TIP, Rule, make_rules

__all__ = ["WGS84", "degrees_of", "make_features", "make_fetch", "make_fields", "make_layer", "style_layer"]

WGS84 = "EPSG:4326"
TIMEOUT_MS = 60_000
KINDS = {"integer": QVariant.Int, "double": QVariant.Double, "string": QVariant.String}


def make_fetch(auth: str = "", feedback: QgsFeedback | None = None) -> Fetch:
    """Gets addresses as QGIS does, with its proxies, certificates and authentications.

    Args:
        auth: the id of an authentication of QGIS, or empty.
        feedback: by which a person may cancel.
    """

    def fetch(address: str) -> tuple[int, bytes]:
        request = QNetworkRequest(QUrl(address))
        request.setRawHeader(b"Accept", b"application/geo+json, application/json, image/jpeg")
        if hasattr(request, "setTransferTimeout"):
            request.setTransferTimeout(TIMEOUT_MS)
        asked = QgsBlockingNetworkRequest()
        if auth:
            asked.setAuthCfg(auth)
        asked.get(request, True, feedback)
        reply = asked.reply()
        status = reply.attribute(QNetworkRequest.Attribute.HttpStatusCodeAttribute)
        if status is None:
            return 0, asked.errorMessage().encode()
        return int(status), bytes(reply.content())

    return fetch


def degrees_of(extent: QgsRectangle, crs: QgsCoordinateReferenceSystem) -> tuple[float, float, float, float]:
    """The extent of a map as west, south, east, north in degrees."""
    to_degrees = QgsCoordinateTransform(crs, QgsCoordinateReferenceSystem(WGS84), QgsProject.instance())
    to_degrees.setBallparkTransformsAreAppropriate(True)
    box = to_degrees.transformBoundingBox(extent, handle180Crossover=True)
    return box.xMinimum(), box.yMinimum(), box.xMaximum(), box.yMaximum()


def make_fields() -> QgsFields:
    """The columns of a layer of results."""
    fields = QgsFields()
    for name, kind in FIELDS:
        fields.append(QgsField(name, KINDS[kind]))
    return fields


def make_features(answer: Answer, fields: QgsFields) -> list[QgsFeature]:
    """The results as features with those columns."""
    found = []
    for told in answer.features:
        geometry = _geometry(told["geometry"])
        geometry.convertToMultiType()
        feature = QgsFeature(fields)
        feature.setGeometry(geometry)
        for name, _ in FIELDS:
            if told["properties"].get(name) is not None:
                feature[name] = told["properties"][name]
        found.append(feature)
    return found


def make_layer(answer: Answer, *, name: str, threshold: float) -> QgsVectorLayer:
    """The results as a layer in memory, styled."""
    layer = QgsVectorLayer(f"MultiPolygon?crs={WGS84}", name, "memory")
    fields = make_fields()
    layer.dataProvider().addAttributes(list(fields))
    layer.updateFields()
    layer.dataProvider().addFeatures(make_features(answer, layer.fields()))
    layer.updateExtents()
    style_layer(layer, threshold=threshold)
    return layer


def style_layer(layer: QgsVectorLayer, *, threshold: float) -> None:
    """Draw results by relevance, and show pictures in map tips."""
    root = QgsRuleBasedRenderer.Rule(None)
    for rule in make_rules(threshold):
        root.appendChild(QgsRuleBasedRenderer.Rule(_symbol(rule), filterExp=rule.expression, label=rule.label))
    layer.setRenderer(QgsRuleBasedRenderer(root))
    layer.setMapTipTemplate(MAP_TIP)
    layer.setDisplayExpression('concat("rank", \'. \', "query")')


def _geometry(told: Mapping[str, Any]) -> QgsGeometry:
    """A GeoJSON geometry; read as a feature, which QGIS can since long before it reads geometries alone."""
    (feature,) = QgsJsonUtils.stringToFeatureList(json.dumps({"type": "Feature", "properties": {}, "geometry": told}))
    return feature.geometry()


def _symbol(rule: Rule) -> QgsFillSymbol:
    return QgsFillSymbol.createSimple(
        {
            "color": ",".join(map(str, rule.fill)),
            "outline_color": ",".join(map(str, rule.line)),
            "outline_width": str(rule.width_mm),
        }
    )
