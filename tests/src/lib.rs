//! Fixtures for end-to-end tests: real registries, real images, a `gaufre` with a store of its own, and a witness that
//! nothing is left behind. Every guard ends what it started, by process id, when it is dropped.
//!
//! A fixture that cannot do its work panics and says why: that is how a test fails.
//!
//! ```no_run
//! use gaufre_tests::{Gaufre, Registry};
//!
//! let registry = Registry::with_images();
//! let gaufre = Gaufre::new();
//! let said = gaufre.ok(&["run", "--rm", "--network=none", "--tls-verify=false", &registry.image("base"), "echo", "hello"]);
//! assert_eq!(said, "hello\n");
//! ```

#![forbid(unsafe_code)]
// Fixtures fail the test that uses them.
#![allow(clippy::panic, clippy::expect_used)]

mod cached;
mod certificate;
mod crafted;
pub mod faults;
mod faulty;
mod gaufre;
mod http;
mod registry;
mod started;
mod token_issuer;
mod tool;
mod turn;
mod witness;

pub use cached::{cache_dir, images};
pub use certificate::Certificate;
pub use crafted::Crafted;
pub use faulty::{Fault, FaultyRegistry};
pub use gaufre::{Gaufre, Said};
pub use http::{free_port, get};
pub use registry::{Access, Registry};
pub use started::Started;
pub use token_issuer::TokenIssuer;
pub use tool::{run, tool, until};
pub use turn::Alone;
pub use witness::Witness;
