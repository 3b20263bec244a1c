//! Whether we are on the host proper, where root is root.

/// Whether this process is in the first user namespace, which maps all ids but one (user_namespaces(7)). One whose map
/// cannot be read counts as that: there, what is left out for want of privileges would be missed.
pub(crate) fn in_first_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").map_or(true, |map| maps_everybody(&map))
}

fn maps_everybody(map: &str) -> bool {
    map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_user_namespace_is_known_by_its_map() {
        assert!(maps_everybody("         0          0 4294967295\n"));
        assert!(!maps_everybody("         0       1000          1\n"));
        assert!(!maps_everybody("         0          0 4294967294\n"));
        assert!(!maps_everybody(""));
    }
}
