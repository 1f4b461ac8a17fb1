"""What people are shown as a picture: matplotlib figures, safe in any thread."""

import matplotlib as mpl

from image_classification.figures.comparison import plot_comparison, plot_gate_report
from image_classification.figures.forgotten import SUMMARY, choose_figures, redraw_figure
from image_classification.figures.history import plot_champion_trend, plot_history
from image_classification.figures.profile import plot_profile
from image_classification.figures.sheet import (
    plot_contact_sheet,
    plot_proposals,
    plot_suspects,
)
from image_classification.figures.training import (
    plot_confusion,
    plot_curves,
    plot_reliability,
    plot_roc,
)

# Figures look alike on every machine, whatever a user's own matplotlibrc says.
mpl.rcdefaults()
# A name of a class, a patient or a file is text. Between two "$" matplotlib would read TeX, and
# fail where it is none.
mpl.rcParams["text.parse_math"] = False

__all__ = [
    "SUMMARY",
    "choose_figures",
    "plot_champion_trend",
    "plot_comparison",
    "plot_confusion",
    "plot_contact_sheet",
    "plot_curves",
    "plot_gate_report",
    "plot_history",
    "plot_profile",
    "plot_proposals",
    "plot_reliability",
    "plot_roc",
    "plot_suspects",
    "redraw_figure",
]
