"""The same search as an algorithm of the processing toolbox, for models, batches and scripts."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeatureSink,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingParameterAuthConfig,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProcessingProvider,
    QgsVectorLayer,
    QgsWkbTypes,
)

from .client import MOST_RESULTS, Search, ServiceError, add_pictures, ask, check_address
from .layers import WGS84, make_features, make_fetch, make_fields, style_layer

__all__ = ["SearchAlgorithm", "SearchProvider"]


class _Style(QgsProcessingLayerPostProcessorInterface):
    """Draws a layer that an algorithm has made, in QGIS's own thread."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self._threshold = threshold

    def postProcessLayer(self, layer: Any, _context: QgsProcessingContext, _feedback: QgsProcessingFeedback) -> None:
        """Draw it."""
        if isinstance(layer, QgsVectorLayer):
            style_layer(layer, threshold=self._threshold)


class SearchAlgorithm(QgsProcessingAlgorithm):
    """Search for places by words."""

    _style: _Style | None = None

    def name(self) -> str:
        """Its id."""
        return "search"

    def displayName(self) -> str:
        """What people read."""
        return "Search imagery by words"

    def shortHelpString(self) -> str:
        """What the dialog says."""
        return (
            "Finds places in satellite and aerial imagery by words: asks a service of rsitr (rsitr serve INDEX). "
            "Results carry their relevance, from 0 to 1; what reaches the threshold matches."
        )

    def createInstance(self) -> SearchAlgorithm:
        """Another one."""
        return SearchAlgorithm()

    def initAlgorithm(self, _configuration: Any = None) -> None:
        """Say what it takes."""
        number = QgsProcessingParameterNumber
        for parameter in (
            QgsProcessingParameterString("WORDS", "What to look for"),
            QgsProcessingParameterString("SERVICE", "Address of the service", "http://127.0.0.1:8000"),
            QgsProcessingParameterExtent("EXTENT", "Within", optional=True),
            number("LIMIT", "Results at most", defaultValue=50, minValue=1, maxValue=MOST_RESULTS),
            number("THRESHOLD", "Threshold", number.Double, defaultValue=0.5, minValue=0, maxValue=1),
            QgsProcessingParameterBoolean("MATCHES", "Only what matches", False),
            QgsProcessingParameterBoolean("PLACES", "Join tiles to places", True),
            QgsProcessingParameterBoolean("PICTURES", "Pictures in map tips", True),
            QgsProcessingParameterAuthConfig("KEY", "Authentication", optional=True),
            QgsProcessingParameterFeatureSink("OUTPUT", "Results"),
        ):
            self.addParameter(parameter)

    def processAlgorithm(
        self, given: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Search.

        Raises:
            QgsProcessingException: the service cannot be asked, or refuses.
        """
        degrees = QgsCoordinateReferenceSystem(WGS84)
        box = None
        if given.get("EXTENT") is not None:
            extent = self.parameterAsExtent(given, "EXTENT", context, degrees)
            box = (extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum())
        threshold = self.parameterAsDouble(given, "THRESHOLD", context)
        search = Search(
            words=self.parameterAsString(given, "WORDS", context),
            bbox=box,
            limit=self.parameterAsInt(given, "LIMIT", context),
            places=self.parameterAsBoolean(given, "PLACES", context),
            only_matches=self.parameterAsBoolean(given, "MATCHES", context),
            threshold=threshold,
        )
        fetch = make_fetch(self.parameterAsString(given, "KEY", context), feedback)
        try:
            service = check_address(self.parameterAsString(given, "SERVICE", context))
            answer = ask(service, search, fetch)
        except ServiceError as error:
            raise QgsProcessingException(str(error)) from error
        if self.parameterAsBoolean(given, "PICTURES", context):
            answer = add_pictures(service, answer, fetch, is_cancelled=feedback.isCanceled)
        feedback.pushInfo(answer.say())
        fields = make_fields()
        sink, where = self.parameterAsSink(given, "OUTPUT", context, fields, QgsWkbTypes.MultiPolygon, degrees)
        if sink is None:
            raise QgsProcessingException(self.invalidSinkError(given, "OUTPUT"))
        sink.addFeatures(make_features(answer, fields), QgsFeatureSink.Flag.FastInsert)
        if context.willLoadLayerOnCompletion(where):
            self._style = _Style(threshold)  # kept: QGIS does not
            context.layerToLoadOnCompletionDetails(where).setPostProcessor(self._style)
        return {"OUTPUT": where, "STATE": answer.state, "MESSAGE": answer.message, "MATCHED": answer.n_matched}


class SearchProvider(QgsProcessingProvider):
    """The toolbox's group."""

    def id(self) -> str:
        """Its id."""
        return "rsitr"

    def name(self) -> str:
        """What people read."""
        return "rsitr"

    def loadAlgorithms(self) -> None:
        """Its only algorithm."""
        self.addAlgorithm(SearchAlgorithm())
