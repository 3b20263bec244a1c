//! System call numbers by name, for each architecture that a filter may be about.

mod x86;
mod x86_64;

/// The number of `name` in a table sorted by name.
pub(super) fn number(table: &[(&str, u32)], name: &str) -> Option<u32> {
    let at = table.binary_search_by(|(other, _)| (*other).cmp(name)).ok()?;
    table.get(at).map(|(_, number)| *number)
}

/// 64-bit x86.
pub(super) const X86_64: &[(&str, u32)] = x86_64::CALLS;
/// 32-bit x86.
pub(super) const X86: &[(&str, u32)] = x86::CALLS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted_and_right() {
        for table in [X86_64, X86] {
            assert!(table.is_sorted_by_key(|(name, _)| *name));
        }
        assert_eq!(number(X86_64, "clone3"), Some(libc::SYS_clone3.try_into().unwrap()));
        assert_eq!(number(X86, "socketcall"), Some(102));
        assert_eq!(number(X86_64, "socketcall"), None);
    }
}
