//! Lists of numbers as the kernel writes them: `0-3,7`. CPUs and memory nodes are named so.

/// The numbers of `list`, each below `limit`. None: it is not such a list.
pub(super) fn parse(list: &str, limit: usize) -> Option<Vec<usize>> {
    let mut numbers = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last >= limit {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_numbers_are_read_and_nonsense_is_not() {
        assert_eq!(parse("0-2,7", 8), Some(vec![0, 1, 2, 7]));
        for list in ["", "3-1", "a", "1,", "8", "-1"] {
            assert_eq!(parse(list, 8), None, "{list}");
        }
    }
}
