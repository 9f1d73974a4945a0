"""What QGIS starts and stops: a button, the dock, and the group of the processing toolbox."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QAction

from .algorithm import SearchProvider
from .dock import SearchDock

__all__ = ["SearchPlugin"]

MENU = "rsitr"


class SearchPlugin:
    """The plugin."""

    def __init__(self, iface: Any) -> None:
        self._iface = iface
        self.action: QAction | None = None
        self.dock: SearchDock | None = None
        self.provider: SearchProvider | None = None

    def initProcessing(self) -> None:
        """For `qgis_process`, which has no windows."""
        self.provider = SearchProvider()
        QgsApplication.processingRegistry().addProvider(self.provider)

    def initGui(self) -> None:
        """Add what people see."""
        self.initProcessing()
        self.dock = SearchDock(self._iface)
        self._iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self.dock)
        icon = QIcon(str(Path(__file__).parent / "icon.svg"))
        self.action = QAction(icon, "Search imagery by words", self._iface.mainWindow())
        self.action.setCheckable(True)
        self.action.setChecked(True)
        self.action.toggled.connect(self.dock.setVisible)
        self.dock.visibilityChanged.connect(self.action.setChecked)
        self._iface.addToolBarIcon(self.action)
        self._iface.addPluginToWebMenu(MENU, self.action)

    def unload(self) -> None:
        """Leave nothing behind."""
        if self.dock is not None:
            self.dock.stop()
            self._iface.removeDockWidget(self.dock)
            self.dock.deleteLater()
        if self.action is not None:
            self._iface.removeToolBarIcon(self.action)
            self._iface.removePluginWebMenu(MENU, self.action)
        if self.provider is not None:
            QgsApplication.processingRegistry().removeProvider(self.provider)
        self.dock = self.action = self.provider = None
