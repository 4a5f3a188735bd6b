//! Figures beside peers, measured in the same run.
