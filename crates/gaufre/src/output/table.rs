//! Tables aligned as podman's: columns of at least twelve characters, two spaces between them.

use std::io::{self, Write};

use super::plain::in_one_line;
use crate::failure::Result;

const NARROWEST: usize = 12;
const GAP: usize = 2;

/// Rows under headings.
#[derive(Debug)]
pub(crate) struct Table {
    titles: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings and no rows.
    pub(crate) fn new<S: Into<String>>(titles: impl IntoIterator<Item = S>) -> Self {
        Self { titles: titles.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row; whatever its cells hold, it is one line.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let cell = |cell: S| in_one_line(&cell.into()).into_owned();
        self.rows.push(cells.into_iter().map(cell).collect());
    }

    /// Prints it, with its headings if `heading`.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn print(&self, heading: bool) -> Result<()> {
        Ok(io::stdout().write_all(self.render(heading).as_bytes())?)
    }

    /// The table as text.
    pub(crate) fn render(&self, heading: bool) -> String {
        let lines: Vec<&Vec<String>> =
            heading.then_some(&self.titles).into_iter().chain(&self.rows).collect();
        let width = |column: usize| {
            let widest =
                lines.iter().filter_map(|cells| cells.get(column)).map(|cell| cell.chars().count()).max();
            (widest.unwrap_or(0) + GAP).max(NARROWEST)
        };
        let widths: Vec<usize> = (0..self.titles.len()).map(width).collect();
        let mut text = String::new();
        for cells in lines {
            for (column, cell) in cells.iter().enumerate() {
                text.push_str(cell);
                if column + 1 < cells.len() {
                    let pad =
                        widths.get(column).copied().unwrap_or(NARROWEST).saturating_sub(cell.chars().count());
                    text.extend(std::iter::repeat_n(' ', pad));
                }
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_podman_makes_them() {
        let mut table = Table::new(["CONTAINER ID", "PORTS", "NAMES"]);
        table.row(["aeeaa87c66c2", "", "p1"]);
        table.row(["1868d9f3e385", "0.0.0.0:8080->80/tcp", "p2"]);
        insta::assert_snapshot!(table.render(true), @r"
        CONTAINER ID  PORTS                 NAMES
        aeeaa87c66c2                        p1
        1868d9f3e385  0.0.0.0:8080->80/tcp  p2
        ");
        assert!(table.render(false).starts_with("aeeaa87c66c2  "));
    }
}
