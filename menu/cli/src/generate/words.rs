//! Words of a GRUB 2 script: quotes, backslashes, comments, and the values of variables.

/// Most bytes that a variable or a word may grow to.
pub(super) const WORD_MAX: usize = 1 << 16;

/// A word of the script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// A word, and whether a part of it was quoted.
    Word(String, Quoted),
    /// `;` or a line's end.
    End,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Quoted {
    Yes,
    No,
}

/// Puts the values of `$name` and `${name}` into `text`. A `\u{1}` before a dollar keeps it.
pub(super) fn expand<'a>(text: &str, value: impl Fn(&str) -> &'a str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$').filter(|_| out.len() <= WORD_MAX) {
        let (before, from) = rest.split_at(at);
        let after = from.get(1..).unwrap_or_default();
        if let Some(kept) = before.strip_suffix('\u{1}') {
            out.push_str(kept);
            out.push('$');
            rest = after;
            continue;
        }
        out.push_str(before);
        if let Some((name, tail)) = after
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
        {
            out.push_str(value(name));
            rest = tail;
            continue;
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = after.find(|c: char| !is_name(c)).unwrap_or(after.len());
        let (name, tail) = after.split_at(end);
        if name.is_empty() {
            out.push('$');
        } else {
            out.push_str(value(name));
        }
        rest = tail;
    }
    out.push_str(rest);
    out
}

/// Takes a script apart into words; comments go.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut word: Option<(String, Quoted)> = None;
    let mut quote = None;
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            // Nothing is expanded between single quotes.
            (Some('\''), '$') => {
                let (text, _) = word.get_or_insert((String::new(), Quoted::Yes));
                text.push_str("\u{1}$");
            }
            (Some('\''), c) => word.get_or_insert((String::new(), Quoted::Yes)).0.push(c),
            (_, '\\') => {
                let next = characters.next().unwrap_or_default();
                if next != '\n' {
                    let (text, _) = word.get_or_insert((String::new(), Quoted::No));
                    if next == '$' {
                        text.push('\u{1}');
                    }
                    text.push(next);
                }
            }
            (Some(_), c) => word.get_or_insert((String::new(), Quoted::Yes)).0.push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert((String::new(), Quoted::Yes)).1 = Quoted::Yes;
            }
            (None, '#') if word.is_none() => {
                while characters.peek().is_some_and(|c| *c != '\n') {
                    characters.next();
                }
            }
            (None, c) if c.is_whitespace() || c == ';' => {
                tokens.extend(word.take().map(|(text, quoted)| Token::Word(text, quoted)));
                if c == '\n' || c == ';' {
                    tokens.push(Token::End);
                }
            }
            (None, c) => word.get_or_insert((String::new(), Quoted::No)).0.push(c),
        }
    }
    tokens.extend(word.take().map(|(text, quoted)| Token::Word(text, quoted)));
    tokens.push(Token::End);
    tokens
}
