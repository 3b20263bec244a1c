//! Whose turn it is to unpack a layer. One does and the others wait for it, but not for ever: who has the turn may get
//! the layer from a registry that sends it as slowly as it can, so after a while a second turn is to be had beside it.

use std::io;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use crate::lock::NamedLock;

/// How long one waits before saying so.
const SILENCE: Duration = Duration::from_secs(5);
/// Short beside the time that a layer takes.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits for one of the turns at `layer`, a hexadecimal digest: there is one, and one more each time that `patience` has
/// passed, so that many who wait do not all begin at once. `None` as soon as `is_there` says that somebody else has
/// brought it in.
pub(crate) fn wait(
    locks: impl AsFd,
    layer: &str,
    patience: Duration,
    is_there: impl Fn() -> io::Result<bool>,
) -> io::Result<Option<NamedLock>> {
    let started = Instant::now();
    let mut said = false;
    loop {
        if is_there()? {
            return Ok(None);
        }
        let turns = 1 + started.elapsed().as_nanos() / patience.as_nanos().max(1);
        for turn in 1..=turns {
            let name = if turn == 1 { format!("layer-{layer}") } else { format!("layer-{layer}-{turn}") };
            if let Some(lock) = NamedLock::try_take(&locks, &name)? {
                return Ok(Some(lock));
            }
        }
        if !said && started.elapsed() >= SILENCE {
            said = true;
            let seconds = patience.as_secs();
            tracing::warn!(
                "another process is getting layer {}; waiting up to {seconds} s for it",
                layer.get(..12).unwrap_or(layer)
            );
        }
        thread::sleep(LOOK_EVERY);
    }
}
