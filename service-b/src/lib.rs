//! service-b
