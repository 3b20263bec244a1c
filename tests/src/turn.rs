//! Who may use the machine when. Tests of one program run at the same time, and a witness cannot tell whose a mount or a
//! cgroup is: so tests with a store share the machine, and one with a witness has it to itself.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// Those that have it now.
#[derive(Debug)]
struct Users {
    sharing: Vec<ThreadId>,
    alone: Option<ThreadId>,
}

static USERS: Mutex<Users> = Mutex::new(Users { sharing: Vec::new(), alone: None });
static CHANGED: Condvar = Condvar::new();

/// A failed test leaves nothing wrong behind the lock itself.
fn users() -> MutexGuard<'static, Users> {
    USERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait(users: MutexGuard<'static, Users>) -> MutexGuard<'static, Users> {
    CHANGED.wait(users).unwrap_or_else(PoisonError::into_inner)
}

/// Keeps others from having the machine to themselves.
#[derive(Debug)]
pub(crate) struct Shared(Option<ThreadId>);

impl Shared {
    /// Waits for the end of another test that is alone. One that is alone itself has what it needs.
    pub(crate) fn new() -> Self {
        let own = thread::current().id();
        let mut users = users();
        loop {
            match users.alone {
                None => break,
                Some(alone) if alone == own => return Self(None),
                Some(_) => users = wait(users),
            }
        }
        users.sharing.push(own);
        Self(Some(own))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut users = users();
        if let Some(at) = users.sharing.iter().position(|user| Some(*user) == self.0) {
            users.sharing.swap_remove(at);
        }
        CHANGED.notify_all();
    }
}

/// Keeps all others from using the machine.
#[derive(Debug)]
pub struct Alone(());

impl Alone {
    /// Waits until no other test of this program has a store.
    pub(crate) fn new() -> Self {
        let own = thread::current().id();
        let mut users = users();
        assert!(!users.sharing.contains(&own), "a test that wants to be alone has to say so first of all");
        while users.alone.is_some() || !users.sharing.is_empty() {
            users = wait(users);
        }
        users.alone = Some(own);
        Self(())
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        users().alone = None;
        CHANGED.notify_all();
    }
}
