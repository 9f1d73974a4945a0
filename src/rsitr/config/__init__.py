"""Configs of trainings: frozen records read from YAML, every key and value checked. An unknown key is an error.

The first line of every packaged config is the command that runs it.
"""

from rsitr.config.files import (
    CONFIG_FOLDER,
    describe_config,
    find_config,
    list_configs,
    load_config,
    override,
    read_settings,
    read_yaml,
)
from rsitr.config.parsing import Listed, Settings, parse, require
from rsitr.config.sections import (
    AdapterConfig,
    DataConfig,
    EbaConfig,
    KerConfig,
    KeywordsConfig,
    LookoutPhase,
    LookoutTrainConfig,
    LossConfig,
    ModelConfig,
    MtgfeConfig,
    Phase,
)
from rsitr.config.training import TrainConfig

__all__ = [
    "CONFIG_FOLDER",
    "AdapterConfig",
    "DataConfig",
    "EbaConfig",
    "KerConfig",
    "KeywordsConfig",
    "Listed",
    "LookoutPhase",
    "LookoutTrainConfig",
    "LossConfig",
    "ModelConfig",
    "MtgfeConfig",
    "Phase",
    "Settings",
    "TrainConfig",
    "describe_config",
    "find_config",
    "list_configs",
    "load_config",
    "override",
    "parse",
    "read_settings",
    "read_yaml",
    "require",
]
