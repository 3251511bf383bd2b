//! Tables by display width: a Chinese character is two columns, and colour is an extra.

use std::io::IsTerminal as _;

use lubu::model::delivery::PublicState;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Whether stdout takes colour.
pub fn coloured() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Columns that the terminal has; plenty where nobody looks.
pub fn width() -> usize {
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    if let Some(columns) = columns {
        return columns;
    }
    if !std::io::stdout().is_terminal() {
        return 200;
    }
    rustix::termios::tcgetwinsize(std::io::stdout())
        .map(|size| usize::from(size.ws_col))
        .ok()
        .filter(|columns| *columns > 0)
        .unwrap_or(100)
}

/// One cell: what it says, and how it is coloured.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    pub text: String,
    pub style: &'static str,
}

impl Cell {
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            style: "",
        }
    }

    pub fn state(state: PublicState) -> Self {
        Self {
            text: format!("{} {}", state.glyph(), state.zh()),
            style: style(state),
        }
    }
}

fn style(state: PublicState) -> &'static str {
    match state {
        PublicState::Pending
        | PublicState::Withdrawn
        | PublicState::Superseded
        | PublicState::Skipped => "2",
        PublicState::Sending => "34",
        PublicState::InReview => "35",
        PublicState::Retrying => "33",
        PublicState::Unconfirmed => "1;33",
        PublicState::Held => "36",
        PublicState::Published => "32",
        PublicState::Failed => "1;31",
    }
}

/// Cuts to a width, with `…` where something is missing.
pub fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

/// Lines of a table: a header, a rule, rows. The first column gives way when it is too wide.
pub fn lines(head: &[&str], rows: &[Vec<Cell>], columns: usize, colour: bool) -> Vec<String> {
    let mut widths: Vec<usize> = head.iter().map(|text| text.width()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.text.width());
        }
    }
    let rest: usize = widths.iter().skip(1).map(|width| width + 2).sum();
    if let Some(first) = widths.first_mut() {
        *first = (*first).min(columns.saturating_sub(rest).max(12));
    }
    narrow(&mut widths, columns);
    let heads: Vec<Cell> = head.iter().map(|text| Cell::plain(*text)).collect();
    let whole: usize = widths
        .iter()
        .map(|width| width + 2)
        .sum::<usize>()
        .saturating_sub(2);
    let mut lines = vec![line(&heads, &widths, false), "─".repeat(whole)];
    lines.extend(rows.iter().map(|row| line(row, &widths, colour)));
    lines
}

/// Takes from the widest until it fits, or until nothing can be read any more.
fn narrow(widths: &mut [usize], columns: usize) {
    const LEAST: usize = 6;
    while widths.iter().map(|width| width + 2).sum::<usize>() > columns + 2 {
        let Some(widest) = widths.iter_mut().max().filter(|width| **width > LEAST) else {
            return;
        };
        *widest -= 1;
    }
}

fn line(cells: &[Cell], widths: &[usize], colour: bool) -> String {
    let mut line = String::new();
    for (at, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let text = cut(&cell.text, *width);
        let gap = width.saturating_sub(text.width());
        if colour && !cell.style.is_empty() {
            line.push_str(&format!("\x1b[{}m{text}\x1b[0m", cell.style));
        } else {
            line.push_str(&text);
        }
        if at + 1 < cells.len() {
            line.push_str(&" ".repeat(gap + 2));
        }
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chinese_character_takes_two_columns_and_is_never_halved() {
        assert_eq!(cut("重大项目进展", 7), "重大项…");
        assert_eq!(cut("重大项目", 8), "重大项目");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let states = ["◔ 平台审核中"; 4].map(Cell::plain);
        let mut row = vec![
            Cell::plain("云川市重大项目建设进展情况"),
            Cell::plain("0192a3b4c5d6e7f8"),
        ];
        row.extend(states);
        let head = ["信息", "编号", "委网站", "市政府门户", "微信公众号", "微博"];
        for columns in [60, 80, 100, 200] {
            let lines = lines(&head, &[row.clone()], columns, false);
            assert!(
                lines.iter().all(|line| line.width() <= columns),
                "{lines:#?}"
            );
        }
        assert!(lines(&head, &[row], 200, false)[2].contains("平台审核中"));
    }

    #[test]
    fn columns_line_up_whatever_the_script() {
        let rows = [
            vec![Cell::plain("ab"), Cell::plain("x")],
            vec![Cell::plain("中文"), Cell::plain("y")],
        ];
        let lines = lines(&["A", "B"], &rows, 80, false);
        assert_eq!(lines[2], "ab    x");
        assert_eq!(lines[3], "中文  y");
    }
}
