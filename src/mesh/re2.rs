//! From RE2's syntax to the `regex` crate's.
//!
//! The two differ in what they accept and in a few meanings. This reads a pattern as RE2 reads it
//! (`re2/parse.cc`), refuses what RE2 refuses, and writes it in the syntax of `regex` with nothing
//! left that the latter would understand differently: classes are written as explicit ranges, perl
//! classes and word boundaries are ASCII, names of groups are dropped.
//!
//! Known differences, both far from anything that is written in practice: a repetition right after
//! flags (`a(?i)*`, which RE2 applies to the `a`) is refused, and `\C` is a byte of ASCII only.

use super::pattern::PatternError;

/// Largest repetition, also of nested ones taken together (`kMaxRepeat`).
const REPEAT_MAX: u32 = 1000;

/// Deepest nesting of groups. RE2 allows 1000; the `regex` crate stops at 250, which no pattern
/// within Istio's limit of 1024 bytes has a use for.
const DEPTH_MAX: usize = 200;

/// Translates a pattern.
pub(super) fn translate(pattern: &str) -> Result<String, PatternError> {
    let mut parser = Parser { chars: pattern.chars().collect(), at: 0, depth: 0 };
    let translated = parser.alternatives()?;
    if parser.at < parser.chars.len() {
        return Err(error("unexpected `)`"));
    }
    Ok(translated.text)
}

fn error(why: impl Into<String>) -> PatternError {
    PatternError(why.into())
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

/// A translated piece and the largest product of nested repetitions in it.
struct Piece {
    text: String,
    repeats: u32,
}

/// One thing in a sequence.
enum Atom {
    /// Something that can be repeated.
    Repeatable(Piece),
    /// Something that cannot: flags for what follows, or nothing at all.
    Mark(String),
}

/// What a repetition operator asks for.
enum Operator {
    /// `*`, `+` or `?`.
    Simple(char),
    /// `{2}`, `{2,}` or `{2,5}`.
    Counted(u32, Option<u32>),
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn peek_at(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn eat(&mut self, text: &str) -> bool {
        let fits = text.chars().enumerate().all(|(i, c)| self.peek_at(i) == Some(c));
        if fits {
            self.at += text.chars().count();
        }
        fits
    }

    /// Everything up to the end of the group.
    fn alternatives(&mut self) -> Result<Piece, PatternError> {
        let mut all = Piece { text: String::new(), repeats: 1 };
        while let Some(next) = self.peek() {
            match next {
                ')' => break,
                '|' => {
                    self.at += 1;
                    all.text.push('|');
                }
                _ => {
                    let piece = self.repeated()?;
                    all.text.push_str(&piece.text);
                    all.repeats = all.repeats.max(piece.repeats);
                }
            }
        }
        Ok(all)
    }

    /// One atom with its repetition.
    fn repeated(&mut self) -> Result<Piece, PatternError> {
        let mut piece = match self.atom()? {
            Atom::Repeatable(piece) => piece,
            Atom::Mark(_) if self.operator().is_some() => return Err(error("missing argument to repetition operator")),
            Atom::Mark(text) => return Ok(Piece { text, repeats: 1 }),
        };
        let Some(operator) = self.operator() else { return Ok(piece) };
        let lazy = if self.eat("?") { "?" } else { "" };
        let start = self.at;
        if self.operator().is_some() {
            let stacked: String = self.chars[start.saturating_sub(1)..self.at].iter().collect();
            return Err(error(format!("bad repetition operator `{stacked}`")));
        }
        match operator {
            Operator::Simple(c) => piece.text.push(c),
            Operator::Counted(least, most) => {
                if least > REPEAT_MAX || most.is_some_and(|most| most > REPEAT_MAX || most < least) {
                    return Err(error(format!("repetition must be ascending and at most {REPEAT_MAX}")));
                }
                piece.repeats = piece.repeats.saturating_mul(most.unwrap_or(least).max(1));
                if piece.repeats > REPEAT_MAX {
                    return Err(error(format!("nested repetitions must be at most {REPEAT_MAX}")));
                }
                match most {
                    Some(most) => piece.text.push_str(&format!("{{{least},{most}}}")),
                    None => piece.text.push_str(&format!("{{{least},}}")),
                }
            }
        }
        piece.text.push_str(lazy);
        Ok(piece)
    }

    /// A repetition operator, if one stands here. Braces that are no repetition are literal.
    fn operator(&mut self) -> Option<Operator> {
        match self.peek()? {
            c @ ('*' | '+' | '?') => {
                self.at += 1;
                Some(Operator::Simple(c))
            }
            '{' => {
                let start = self.at;
                self.at += 1;
                let operator = self.count();
                if operator.is_none() {
                    self.at = start;
                }
                operator
            }
            _ => None,
        }
    }

    fn count(&mut self) -> Option<Operator> {
        let least = self.integer()?;
        let most = match self.next()? {
            '}' => return Some(Operator::Counted(least, Some(least))),
            ',' if self.eat("}") => return Some(Operator::Counted(least, None)),
            ',' => self.integer()?,
            _ => return None,
        };
        (self.next()? == '}').then_some(Operator::Counted(least, Some(most)))
    }

    /// A number without leading zeros.
    fn integer(&mut self) -> Option<u32> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        let digits: String = self.chars[start..self.at].iter().collect();
        match digits.as_str() {
            "" => None,
            digits if digits.len() > 1 && digits.starts_with('0') => None,
            digits => Some(digits.parse().unwrap_or(u32::MAX)),
        }
    }

    fn atom(&mut self) -> Result<Atom, PatternError> {
        if self.operator().is_some() {
            return Err(error("missing argument to repetition operator"));
        }
        match self.next() {
            Some('(') => self.group(),
            Some('[') => Ok(repeatable(self.class()?)),
            Some('\\') => self.escape(),
            Some(c @ ('.' | '^' | '$')) => Ok(repeatable(c.to_string())),
            Some(c) => Ok(repeatable(literal(c))),
            None => Ok(Atom::Mark(String::new())),
        }
    }

    fn group(&mut self) -> Result<Atom, PatternError> {
        let opening = if self.eat("?P<") || self.eat("?<") {
            self.name()?;
            "(".to_owned()
        } else if self.eat("?") {
            match self.flags()? {
                (flags, false) if flags.is_empty() => return Ok(Atom::Mark(String::new())),
                (flags, false) => return Ok(Atom::Mark(format!("(?{flags})"))),
                (flags, true) => format!("(?{flags}:"),
            }
        } else {
            "(".to_owned()
        };
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(error(format!("groups nest deeper than {DEPTH_MAX}")));
        }
        let inside = self.alternatives()?;
        self.depth -= 1;
        if self.next() != Some(')') {
            return Err(error("missing `)`"));
        }
        Ok(Atom::Repeatable(Piece { text: format!("{opening}{})", inside.text), repeats: inside.repeats }))
    }

    /// The flags after `(?`, and whether a group follows them (`:`) or not (`)`).
    fn flags(&mut self) -> Result<(String, bool), PatternError> {
        let bad = || error("invalid or unsupported group syntax after `(?`");
        let (mut flags, mut negated, mut seen) = (String::new(), false, false);
        loop {
            match self.next().ok_or_else(bad)? {
                flag @ ('i' | 'm' | 's' | 'U') => {
                    seen = true;
                    // The `regex` crate refuses a flag that is given twice.
                    if !flags.contains(flag) {
                        flags.push(flag);
                    }
                }
                '-' if !negated => {
                    (negated, seen) = (true, false);
                    flags.push('-');
                }
                end @ (':' | ')') if !negated || seen => return Ok((flags, end == ':')),
                _ => return Err(bad()),
            }
        }
    }

    fn name(&mut self) -> Result<(), PatternError> {
        let start = self.at;
        while self.peek().is_some_and(|c| c != '>') {
            self.at += 1;
        }
        let name: String = self.chars[start..self.at].iter().collect();
        let valid = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if self.next() != Some('>') || !valid {
            return Err(error(format!("invalid group name `{name}`")));
        }
        Ok(())
    }

    /// What follows a backslash outside of classes.
    fn escape(&mut self) -> Result<Atom, PatternError> {
        if self.eat("Q") {
            return Ok(self.quoted());
        }
        let text = match self.peek() {
            Some('A') => "\\A",
            Some('z') => "\\z",
            Some('b') => "(?-u:\\b)",
            Some('B') => "(?-u:\\B)",
            // Any byte. Texts are characters here, so only those of one byte count.
            Some('C') => "[\\x{0}-\\x{7F}]",
            _ => return Ok(repeatable(self.class_escape()?.into_text())),
        };
        self.at += 1;
        Ok(repeatable(text.to_owned()))
    }

    /// Literal text up to `\E`. Only its last character can be repeated.
    fn quoted(&mut self) -> Atom {
        let mut text = String::new();
        let mut last = None;
        while self.at < self.chars.len() && !self.eat("\\E") {
            if let Some(before) = last.replace(self.chars[self.at]) {
                text.push_str(&literal(before));
            }
            self.at += 1;
        }
        match last {
            Some(last) => repeatable(format!("{text}{}", literal(last))),
            None => Atom::Mark(text),
        }
    }

    /// A class in brackets, the opening one already read.
    fn class(&mut self) -> Result<String, PatternError> {
        let negated = self.eat("^");
        let mut items = String::new();
        let mut first = true;
        loop {
            match self.peek() {
                None => return Err(error("missing `]`")),
                Some(']') if !first => {
                    self.at += 1;
                    break;
                }
                Some('[') if self.peek_at(1) == Some(':') && self.named_class_ahead() => {
                    self.at += 2;
                    items.push_str(&self.named_class()?);
                }
                Some(_) => items.push_str(&self.class_range()?),
            }
            first = false;
        }
        Ok(format!("[{}{items}]", if negated { "^" } else { "" }))
    }

    fn named_class_ahead(&self) -> bool {
        self.chars[self.at + 2..].windows(2).any(|pair| pair == [':', ']'])
    }

    fn named_class(&mut self) -> Result<String, PatternError> {
        let start = self.at;
        while !self.eat(":]") {
            self.at += 1;
        }
        let name: String = self.chars[start..self.at - 2].iter().collect();
        let (negated, bare) = match name.strip_prefix('^') {
            Some(bare) => (true, bare),
            None => (false, name.as_str()),
        };
        let known = POSIX.iter().find(|(known, _)| *known == bare);
        let (_, ranges) = known.ok_or_else(|| error(format!("invalid character class `[:{name}:]`")))?;
        Ok(set(negated, ranges))
    }

    /// One character, escape or range of a class.
    fn class_range(&mut self) -> Result<String, PatternError> {
        let low = match self.class_item()? {
            Item::Set(text) => return Ok(text),
            Item::Char(low) => low,
        };
        if self.peek() != Some('-') || matches!(self.peek_at(1), None | Some(']')) {
            return Ok(range(low, low));
        }
        self.at += 1;
        match self.class_item()? {
            Item::Char(high) if low <= high => Ok(range(low, high)),
            Item::Char(_) | Item::Set(_) => Err(error("invalid character class range")),
        }
    }

    fn class_item(&mut self) -> Result<Item, PatternError> {
        match self.next() {
            Some('\\') => self.class_escape(),
            Some(c) => Ok(Item::Char(c as u32)),
            None => Err(error("missing `]`")),
        }
    }

    /// An escape that stands for a character or a set, the backslash already read.
    fn class_escape(&mut self) -> Result<Item, PatternError> {
        let bad = |c: char| error(format!("invalid escape sequence `\\{c}`"));
        let c = self.next().ok_or_else(|| error("trailing `\\`"))?;
        Ok(match c {
            'd' | 'D' => Item::Set(set(c == 'D', "0-9")),
            's' | 'S' => Item::Set(set(c == 'S', "\\t\\n\\x{C}\\r ")),
            'w' | 'W' => Item::Set(set(c == 'W', "0-9A-Za-z_")),
            'p' | 'P' => Item::Set(self.unicode_class(c == 'P')?),
            'a' => Item::Char(0x07),
            'f' => Item::Char(0x0C),
            'n' => Item::Char(0x0A),
            'r' => Item::Char(0x0D),
            't' => Item::Char(0x09),
            'v' => Item::Char(0x0B),
            'x' => Item::Char(self.hexadecimal().ok_or_else(|| bad('x'))?),
            // A single digit would be a back-reference, which RE2 does not have.
            '1'..='7' if !self.peek().is_some_and(|next| matches!(next, '0'..='7')) => return Err(bad(c)),
            '0'..='7' => Item::Char(self.octal(c)),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Item::Char(c as u32),
            c => return Err(bad(c)),
        })
    }

    fn octal(&mut self, first: char) -> u32 {
        let mut code = first.to_digit(8).unwrap_or_default();
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
            code = code * 8 + digit;
            self.at += 1;
        }
        code
    }

    /// `\x7F` or `\x{10FFFF}`.
    fn hexadecimal(&mut self) -> Option<u32> {
        if !self.eat("{") {
            return Some(self.next()?.to_digit(16)? * 16 + self.next()?.to_digit(16)?);
        }
        let mut code = None;
        loop {
            match self.next()? {
                '}' => return code,
                c => code = Some(code.unwrap_or(0_u32) * 16 + c.to_digit(16)?).filter(|code| *code <= 0x0010_FFFF),
            }
            code?;
        }
    }

    /// `\pN`, `\p{Greek}`, `\p{^Greek}`.
    fn unicode_class(&mut self, mut negated: bool) -> Result<String, PatternError> {
        let braces = self.eat("{");
        if braces && self.eat("^") {
            negated = !negated;
        }
        let start = self.at;
        match braces {
            true => {
                while self.peek().is_some_and(|c| c != '}') {
                    self.at += 1;
                }
            }
            false => self.at = self.chars.len().min(self.at + 1),
        }
        let name: String = self.chars[start..self.at].iter().collect();
        if braces && self.next().is_none() {
            return Err(error("missing `}`"));
        }
        if name == "Any" {
            return Ok(set(negated, "\\x{0}-\\x{10FFFF}"));
        }
        if UNICODE.binary_search(&name.as_str()).is_err() {
            return Err(error(format!("invalid character class `\\p{{{name}}}`")));
        }
        Ok(format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }))
    }
}

/// What an escape or an item of a class stands for.
enum Item {
    /// A code point.
    Char(u32),
    /// A set, written as a class.
    Set(String),
}

impl Item {
    fn into_text(self) -> String {
        match self {
            Item::Char(code) => char::from_u32(code).map_or_else(|| NOTHING.to_owned(), literal),
            Item::Set(text) => text,
        }
    }
}

/// A class that holds no character.
const NOTHING: &str = "[^\\x{0}-\\x{10FFFF}]";

fn repeatable(text: String) -> Atom {
    Atom::Repeatable(Piece { text, repeats: 1 })
}

fn literal(c: char) -> String {
    if c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '%' | ',' | '=' | ';' | ':' | '@' | '"' | '\'' | '<' | '>') {
        c.to_string()
    } else {
        format!("\\x{{{:X}}}", c as u32)
    }
}

fn set(negated: bool, ranges: &str) -> String {
    format!("[{}{ranges}]", if negated { "^" } else { "" })
}

/// A range of code points inside a class. Surrogates are no characters.
fn range(low: u32, high: u32) -> String {
    let is_surrogate = |code: u32| (0xD800..=0xDFFF).contains(&code);
    let low = if is_surrogate(low) { 0xE000 } else { low };
    let high = if is_surrogate(high) { 0xD7FF } else { high };
    if low > high { NOTHING.to_owned() } else { format!("\\x{{{low:X}}}-\\x{{{high:X}}}") }
}

/// POSIX classes, as ranges.
const POSIX: &[(&str, &str)] = &[
    ("alnum", "0-9A-Za-z"),
    ("alpha", "A-Za-z"),
    ("ascii", "\\x{0}-\\x{7F}"),
    ("blank", "\\t "),
    ("cntrl", "\\x{0}-\\x{1F}\\x{7F}"),
    ("digit", "0-9"),
    ("graph", "!-~"),
    ("lower", "a-z"),
    ("print", " -~"),
    ("punct", "!-/:-@\\[-`\\{-~"),
    ("space", "\\t\\n\\x{B}\\x{C}\\r "),
    ("upper", "A-Z"),
    ("word", "0-9A-Za-z_"),
    ("xdigit", "0-9A-Fa-f"),
];

/// Names of general categories and scripts that RE2 knows, sorted.
#[rustfmt::skip]
const UNICODE: &[&str] = &[
    "Adlam", "Ahom", "Anatolian_Hieroglyphs", "Arabic", "Armenian", "Avestan", "Balinese", "Bamum", "Bassa_Vah",
    "Batak", "Bengali", "Bhaiksuki", "Bopomofo", "Brahmi", "Braille", "Buginese", "Buhid", "C", "Canadian_Aboriginal",
    "Carian", "Caucasian_Albanian", "Cc", "Cf", "Chakma", "Cham", "Cherokee", "Chorasmian", "Co", "Common", "Coptic",
    "Cs", "Cuneiform", "Cypriot", "Cypro_Minoan", "Cyrillic", "Deseret", "Devanagari", "Dives_Akuru", "Dogra",
    "Duployan", "Egyptian_Hieroglyphs", "Elbasan", "Elymaic", "Ethiopic", "Georgian", "Glagolitic", "Gothic",
    "Grantha", "Greek", "Gujarati", "Gunjala_Gondi", "Gurmukhi", "Han", "Hangul", "Hanifi_Rohingya", "Hanunoo",
    "Hatran", "Hebrew", "Hiragana", "Imperial_Aramaic", "Inherited", "Inscriptional_Pahlavi",
    "Inscriptional_Parthian", "Javanese", "Kaithi", "Kannada", "Katakana", "Kawi", "Kayah_Li", "Kharoshthi",
    "Khitan_Small_Script", "Khmer", "Khojki", "Khudawadi", "L", "Lao", "Latin", "Lepcha", "Limbu", "Linear_A",
    "Linear_B", "Lisu", "Ll", "Lm", "Lo", "Lt", "Lu", "Lycian", "Lydian", "M", "Mahajani", "Makasar", "Malayalam",
    "Mandaic", "Manichaean", "Marchen", "Masaram_Gondi", "Mc", "Me", "Medefaidrin", "Meetei_Mayek", "Mende_Kikakui",
    "Meroitic_Cursive", "Meroitic_Hieroglyphs", "Miao", "Mn", "Modi", "Mongolian", "Mro", "Multani", "Myanmar", "N",
    "Nabataean", "Nag_Mundari", "Nandinagari", "Nd", "New_Tai_Lue", "Newa", "Nko", "Nl", "No", "Nushu",
    "Nyiakeng_Puachue_Hmong", "Ogham", "Ol_Chiki", "Old_Hungarian", "Old_Italic", "Old_North_Arabian", "Old_Permic",
    "Old_Persian", "Old_Sogdian", "Old_South_Arabian", "Old_Turkic", "Old_Uyghur", "Oriya", "Osage", "Osmanya", "P",
    "Pahawh_Hmong", "Palmyrene", "Pau_Cin_Hau", "Pc", "Pd", "Pe", "Pf", "Phags_Pa", "Phoenician", "Pi", "Po", "Ps",
    "Psalter_Pahlavi", "Rejang", "Runic", "S", "Samaritan", "Saurashtra", "Sc", "Sharada", "Shavian", "Siddham",
    "SignWriting", "Sinhala", "Sk", "Sm", "So", "Sogdian", "Sora_Sompeng", "Soyombo", "Sundanese", "Syloti_Nagri",
    "Syriac", "Tagalog", "Tagbanwa", "Tai_Le", "Tai_Tham", "Tai_Viet", "Takri", "Tamil", "Tangsa", "Tangut", "Telugu",
    "Thaana", "Thai", "Tibetan", "Tifinagh", "Tirhuta", "Toto", "Ugaritic", "Vai", "Vithkuqi", "Wancho",
    "Warang_Citi", "Yezidi", "Yi", "Z", "Zanabazar_Square", "Zl", "Zp", "Zs",
];
