//! Images from real registries, from registries that misbehave, and from archives.

#[cfg(test)]
mod archives;
#[cfg(test)]
mod debian_registry;
#[cfg(test)]
mod detours;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faulty_server;
#[cfg(test)]
mod layout;
#[cfg(test)]
mod registries;
#[cfg(test)]
mod tls;
