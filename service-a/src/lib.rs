//! service-a
