//! The fault loop
