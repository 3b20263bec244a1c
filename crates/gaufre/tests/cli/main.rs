//! The built program, used as a user uses it: against a registry of its own, as root.

#[cfg(test)]
mod completion;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod output;
#[cfg(test)]
mod rootless;
#[cfg(test)]
mod session;
#[cfg(test)]
mod world;
