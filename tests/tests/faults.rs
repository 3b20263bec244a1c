//! `kill -9` of any process of ours at any instant, and many commands at once.
//!
//! `cargo xtask soak` runs the same for longer.

#[cfg(test)]
mod tests {
    use gaufre_tests::Witness;
    use gaufre_tests::faults::{Chance, kill_at_random, parallel_pulls, parallel_runs};

    fn count(variable: &str, otherwise: usize) -> usize {
        std::env::var(variable).ok().and_then(|count| count.parse().ok()).unwrap_or(otherwise)
    }

    #[test]
    fn a_kill_at_any_instant_loses_nothing_and_leaves_nothing() {
        let _alone = Witness::alone();
        kill_at_random(count("GAUFRE_SOAK_ROUNDS", 30), Chance::seed());
    }

    #[test]
    fn twenty_parallel_pulls_of_one_image_succeed() {
        let _alone = Witness::alone();
        parallel_pulls(count("GAUFRE_SOAK_PULLS", 20));
    }

    #[test]
    fn fifty_parallel_runs_succeed() {
        let _alone = Witness::alone();
        parallel_runs(count("GAUFRE_SOAK_RUNS", 50));
    }
}
