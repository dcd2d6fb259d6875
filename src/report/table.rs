//! Columns that line up.

use super::text::{Line, Text};

/// What stands between two columns.
const BETWEEN: usize = 3;

/// Rows as lines, every cell but the last of a row filled up to its column's width.
pub(super) fn table(indent: usize, rows: &[Vec<Line>]) -> Text {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(Line::width).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<Line>| {
        let start = Line::new().say(" ".repeat(indent));
        let last = row.iter().rposition(|cell| cell.width() > 0).unwrap_or(0);
        row.iter().zip(&widths).enumerate().take(last + 1).fold(start, |line, (n, (cell, width))| {
            let cell = cell.clone();
            // A column that is empty everywhere takes no room.
            let room = if *width == 0 { 0 } else { width + BETWEEN };
            line.line(if n == last { cell } else { cell.padded(room) })
        })
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_where_signs_are_wide() {
        let row = |cells: [&str; 3]| cells.iter().map(|cell| Line::new().say(cell)).collect::<Vec<_>>();
        let text = table(2, &[row(["a", "", "x"]), row(["组组", "", "y"]), row(["b", "", ""])]);
        assert_eq!(text.to_string(), "  a      x\n  组组   y\n  b\n");
    }
}
