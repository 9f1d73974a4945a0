"""The dock: words, limits, and a button; what is found becomes a layer."""

from __future__ import annotations

from typing import Any

from qgis.core import Qgis, QgsApplication, QgsFeedback, QgsMapLayer, QgsProject, QgsSettings, QgsTask
from qgis.gui import QgsAuthConfigSelect
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QDockWidget,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QWidget,
)

from .client import MOST_RESULTS, Answer, Search, ServiceError, add_pictures, ask, check_address
from .layers import degrees_of, make_fetch, make_layer

__all__ = ["SearchDock", "SearchTask"]

ADDRESS = "rsitr/address"
AUTH = "rsitr/auth"
AT_HOME = "http://127.0.0.1:8000"


class SearchTask(QgsTask):
    """A search in the background, and its pictures."""

    def __init__(self, service: str, search: Search, *, auth: str = "", pictures: bool = True) -> None:
        super().__init__(f"Search for “{search.words}”", QgsTask.Flag.CanCancel)
        self.answer: Answer | None = None
        self.trouble = ""
        self._service, self._search, self._auth, self._pictures = service, search, auth, pictures
        self._feedback = QgsFeedback()

    def run(self) -> bool:
        """In a thread of its own: no layer and no widget is touched."""
        fetch = make_fetch(self._auth, self._feedback)
        try:
            answer = ask(self._service, self._search, fetch)
        except ServiceError as error:
            self.trouble = str(error)
            return False
        if self._pictures:
            answer = add_pictures(self._service, answer, fetch, is_cancelled=self.isCanceled)
        self.answer = answer
        return not self.isCanceled()

    def cancel(self) -> None:
        """Stop what is being waited for, too."""
        self._feedback.cancel()
        super().cancel()


class SearchDock(QDockWidget):
    """What a person sees."""

    found = pyqtSignal(QgsMapLayer)
    """Emitted with each new layer."""

    def __init__(self, iface: Any) -> None:
        super().__init__("Search imagery by words")
        self.setObjectName("rsitr-search")
        self._iface = iface
        self._task: SearchTask | None = None
        settings = QgsSettings()
        self.words, self.address = QLineEdit(), QLineEdit(settings.value(ADDRESS, AT_HOME))
        self.words.setPlaceholderText("a river with a bridge")
        self.auth = QgsAuthConfigSelect()
        self.auth.setConfigId(settings.value(AUTH, ""))
        self.in_extent, self.only_matches = QCheckBox("in the extent of the map"), QCheckBox("only what matches")
        self.places, self.pictures = QCheckBox("join tiles to places"), QCheckBox("pictures in map tips")
        for box in (self.in_extent, self.places, self.pictures):
            box.setChecked(True)
        self.limit, self.threshold = QSpinBox(), QDoubleSpinBox()
        self.limit.setRange(1, MOST_RESULTS)
        self.limit.setValue(50)
        self.threshold.setRange(0.0, 1.0)
        self.threshold.setSingleStep(0.05)
        self.threshold.setValue(0.5)
        self.since, self.until = QLineEdit(), QLineEdit()
        self.since.setPlaceholderText("2016, 2016-08 or 2016-08-16")
        self.button, self.said = QPushButton("Search"), QLabel()
        self.said.setWordWrap(True)
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        self.setWidget(self._lay_out())
        self.button.clicked.connect(self.search)
        self.words.returnPressed.connect(self.search)

    def _lay_out(self) -> QWidget:
        inner = QWidget()
        form = QFormLayout(inner)
        rows = [("Find", self.words), ("", self.in_extent), ("", self.only_matches), ("", self.places)]
        rows += [("", self.pictures), ("At most", self.limit), ("Threshold", self.threshold)]
        rows += [("Since", self.since), ("Until", self.until), ("Service", self.address)]
        rows += [("Key", self.auth), ("", self.button)]
        for label, widget in rows:
            form.addRow(label, widget)
        self.said.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.said.setMinimumHeight(4 * self.said.fontMetrics().lineSpacing())
        form.addRow(self.said)
        return inner

    def asked(self) -> Search:
        """The search that the dock shows now."""
        box = None
        if self.in_extent.isChecked():
            canvas = self._iface.mapCanvas()
            box = degrees_of(canvas.extent(), canvas.mapSettings().destinationCrs())
        return Search(
            words=self.words.text(),
            bbox=box,
            limit=self.limit.value(),
            places=self.places.isChecked(),
            only_matches=self.only_matches.isChecked(),
            threshold=self.threshold.value(),
            since=self.since.text().strip(),
            until=self.until.text().strip(),
        )

    def search(self) -> None:
        """Search in the background; a search that is under way is given up."""
        self.stop()
        try:
            service, search = check_address(self.address.text()), self.asked()
        except (ServiceError, RuntimeError) as error:  # QGIS raises its own where an extent has no place in degrees
            self.said.setText(str(error))
            return
        QgsSettings().setValue(ADDRESS, service)
        QgsSettings().setValue(AUTH, self.auth.configId())
        task = SearchTask(service, search, auth=self.auth.configId(), pictures=self.pictures.isChecked())
        task.taskCompleted.connect(lambda: self._show(task, search))
        task.taskTerminated.connect(lambda: self._tell(task))
        self._task = task
        self.said.setText("searching …")
        QgsApplication.taskManager().addTask(task)

    def stop(self) -> None:
        """Give up what is under way."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _show(self, task: SearchTask, search: Search) -> None:
        if task is not self._task or task.answer is None:
            return
        self._task = None
        self.said.setText(task.answer.say())
        if not task.answer.features:
            return
        layer = make_layer(task.answer, name=search.words, threshold=search.threshold)
        QgsProject.instance().addMapLayer(layer)
        self.found.emit(layer)

    def _tell(self, task: SearchTask) -> None:
        if task is not self._task:
            return
        self._task = None
        self.said.setText(task.trouble or "given up")
        if task.trouble:
            self._iface.messageBar().pushMessage("rsitr", task.trouble, Qgis.MessageLevel.Warning)
