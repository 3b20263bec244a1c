//! What other people's firewall rules do to containers, said where a user can do something about it.

use crate::engine::Engine;
use gaufre_net::Net;

impl Engine {
    /// Rules of others that keep containers on the bridge from the outside, a sentence each, with what to do. None when
    /// that cannot be told: it is advice, and nothing fails for want of it.
    pub(crate) fn firewall_warnings(&self) -> Vec<String> {
        let obstacles = Net::open(&self.dirs.run)
            .map_err(|error| tracing::debug!(%error, "the firewall was not looked at"))
            .and_then(|net| {
                net.forward_obstacles()
                    .map_err(|error| tracing::debug!(%error, "the firewall was not looked at"))
            });
        let sentence = |obstacle: &gaufre_net::ForwardObstacle| {
            format!(
                "the firewall's {obstacle} drops forwarded packets: containers may not reach the outside, nor other \
                 machines their published ports. Let them pass with: {}",
                obstacle.remedy().join("; ")
            )
        };
        obstacles.unwrap_or_default().iter().map(sentence).collect()
    }
}
