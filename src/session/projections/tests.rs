//! All projections together.
