//! RFC 4180 tables, as small as a catalogue needs them.

/// The line that a row starts on, counted from 1, and its fields.
pub(crate) type Row = (usize, Vec<String>);

/// The rows of a table. Quoted fields may hold commas, quotes
/// (doubled) and line breaks; blank lines are skipped; a byte-order mark is dropped.
///
/// # Errors
/// Line and reason, for a quote that is not closed or that has text around it.
pub(crate) fn parse(text: &str) -> Result<Vec<Row>, (usize, String)> {
    let mut rows = Vec::new();
    let mut chars = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    let mut line = 1;
    while chars.peek().is_some() {
        let start = line;
        let mut row = Vec::new();
        loop {
            let mut field = String::new();
            if chars.next_if_eq(&'"').is_some() {
                loop {
                    match chars.next() {
                        Some('"') if chars.next_if_eq(&'"').is_some() => field.push('"'),
                        Some('"') => break,
                        Some(c) => {
                            line += usize::from(c == '\n');
                            field.push(c);
                        }
                        None => return Err((start, "a quote is not closed".into())),
                    }
                }
                if chars.peek().is_some_and(|c| !matches!(c, ',' | '\n' | '\r')) {
                    return Err((line, "text follows a closing quote".into()));
                }
            } else {
                while let Some(c) = chars.next_if(|c| !matches!(c, ',' | '\n' | '\r')) {
                    if c == '"' {
                        return Err((line, "a quote inside a field that is not quoted".into()));
                    }
                    field.push(c);
                }
            }
            row.push(field);
            if chars.next_if_eq(&',').is_none() {
                break;
            }
        }
        // A bare carriage return ends a line too, as old spreadsheets write it.
        chars.next_if_eq(&'\r');
        chars.next_if_eq(&'\n');
        line += 1;
        if row != [""] {
            rows.push((start, row));
        }
    }
    Ok(rows)
}

/// One line of a table, quoted where it must be, ended by `\n`.
pub(crate) fn line<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = fields
        .into_iter()
        .map(|field| {
            if field.contains([',', '"', '\n', '\r']) || field.starts_with('\u{feff}') {
                format!("\"{}\"", field.replace('"', "\"\""))
            } else {
                field.to_owned()
            }
        })
        .collect();
    // A row of one empty field would read back as a blank line.
    if quoted.len() == 1 && quoted[0].is_empty() { "\"\"\n".into() } else { quoted.join(",") + "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_breaks_and_blank_lines() {
        let rows = parse("\u{feff}a,b\r\n\r\n\"x, \"\"y\"\"\n\",\nlast").expect("well-formed");
        let fields: Vec<_> = rows.iter().map(|(line, row)| (*line, row.join("|"))).collect();
        assert_eq!(fields, [(1, "a|b".into()), (3, "x, \"y\"\n|".into()), (5, "last".into())]);
    }

    #[test]
    fn malformed_tables_name_their_line() {
        assert_eq!(parse("a\n\"b").expect_err("open").0, 2);
        assert_eq!(parse("a\n\"b\"c").expect_err("text").0, 2);
        assert_eq!(parse("a\nb\"c").expect_err("quote").0, 2);
    }

    proptest! {
        #[test]
        fn any_table_survives(rows in proptest::collection::vec(proptest::collection::vec("[a-z,\"\r\n é]{0,6}", 2..4), 0..6)) {
            let text: String = rows.iter().map(|row| line(row.iter().map(String::as_str))).collect();
            let back: Vec<Vec<String>> = parse(&text).expect("own output").into_iter().map(|(_, row)| row).collect();
            prop_assert_eq!(back, rows);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
