"""Detectors over rows of several features: each is fitted on reference rows, and keeps what was fitted as arrays.

mmd and domain_classifier see any change of the joint distribution, a lost correlation too; half_space_trees,
isolation_forest and one_class_svm see rows that lie further out than the reference's did, and only these. All have
`threshold_for(reference, run_length, …)`: for mmd by bootstrap, of rows that depend on each other too; for the others
exact, and for rows that do not.
"""

from detectors.multivariate.outlying import share_for
from detectors.multivariate.rows import Rows

__all__ = ["Rows", "share_for"]
