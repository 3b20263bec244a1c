//! Which known word a mistyped one may mean.

/// Those of `known` that are likely meant by `word`: what it begins, or else the nearest by edit distance.
pub(super) fn similar<'a>(word: &str, known: &[&'a str]) -> Vec<&'a str> {
    let letters = word.trim_start_matches('-').chars().count();
    // One mistake in a short word, two in a long one; more is another word.
    let limit = match letters {
        0..=1 => return Vec::new(),
        2..=5 => 1,
        _ => 2,
    };
    let nearest = known.iter().map(|known| distance(word, known)).min().filter(|nearest| *nearest <= limit);
    let mut likely: Vec<&str> = match nearest {
        Some(nearest) => known.iter().copied().filter(|known| distance(word, known) == nearest).collect(),
        None if letters >= BEGINNING => {
            known.iter().copied().filter(|known| known.starts_with(word)).collect()
        }
        None => Vec::new(),
    };
    likely.truncate(MOST);
    likely
}

/// From so many letters on, a beginning says what is meant.
const BEGINNING: usize = 3;
/// More suggestions help nobody.
const MOST: usize = 3;

/// How many letters have to be inserted, left out, replaced or swapped with their neighbour to make one of the other
/// (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (row, from) in a.iter().enumerate() {
        let mut here = vec![row + 1];
        for (column, to) in b.iter().enumerate() {
            let replaced = above[column] + usize::from(from != to);
            let mut best = replaced.min(above[column + 1] + 1).min(here[column] + 1);
            let swapped = row > 0 && column > 0 && a[row - 1] == *to && b[column - 1] == *from;
            if swapped {
                best = best.min(before[column - 1] + 1);
            }
            here.push(best);
        }
        before = std::mem::replace(&mut above, here);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_finger_are_recognized_and_other_words_are_not() {
        let verbs = ["run", "rm", "rmi", "create", "start", "stop", "ps", "images", "volume"];
        assert_eq!(similar("rnu", &verbs), ["run"]);
        assert_eq!(similar("imgaes", &verbs), ["images"]);
        assert_eq!(similar("vol", &verbs), ["volume"]);
        assert_eq!(similar("rmm", &verbs), ["rm", "rmi"]);
        for other in ["rename", "secret", "x", "", "farm"] {
            assert!(similar(other, &verbs).is_empty(), "{other}: {:?}", similar(other, &verbs));
        }
        let flags = ["--cap-drop", "--sysctl", "--attach", "--format", "--memory", "--memory-swap", "--tty"];
        assert_eq!(similar("--mem", &flags), ["--memory", "--memory-swap"]);
        assert_eq!(similar("--foramt", &flags), ["--format"]);
        for other in ["--cpu-period", "--systemd", "--arch", "--sort", "--tz"] {
            assert!(similar(other, &flags).is_empty(), "{other}: {:?}", similar(other, &flags));
        }
    }
}
