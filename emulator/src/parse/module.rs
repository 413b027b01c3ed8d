//! Declarations: the header lines, variables with their initial values, kernels with their parameters, debug sections.

use super::body::body;
use super::cursor::Cursor;
use super::lex::{Kind, tokens};
use super::{Kernel, Number, Refusal, Space, Text, Variable};

/// Larger variables are refused, so that a wrong text cannot exhaust the memory.
const MAX_VARIABLE_BYTES: u64 = 1 << 28;

/// Reads a whole text.
pub(crate) fn parse(text: &str) -> Result<Text<'_>, Refusal> {
    let tokens = tokens(text)?;
    let mut cursor = Cursor::new(&tokens);
    let mut parsed = Text::default();
    version(&mut cursor)?;
    while cursor.peek().kind != Kind::End {
        let line = cursor.peek().line;
        match cursor.name()? {
            ".target" => parsed.target = target(&mut cursor)?,
            ".address_size" => {
                if cursor.count()? != 64 {
                    return Err((line, "only `.address_size 64` is supported".into()));
                }
            }
            ".file" => parsed.files.push(file(&mut cursor)?),
            ".section" => section(&mut cursor)?,
            ".visible" | ".weak" => {}
            ".entry" => parsed.kernels.push(kernel(&mut cursor, line)?),
            ".extern" => {
                cursor.name().ok().filter(|n| *n == ".shared").ok_or((line, EXTERN.into()))?;
                parsed.variables.push(variable(&mut cursor, Space::Shared)?);
            }
            ".global" => parsed.variables.push(variable(&mut cursor, Space::Global)?),
            ".const" => parsed.variables.push(variable(&mut cursor, Space::Const)?),
            ".shared" => parsed.variables.push(variable(&mut cursor, Space::Shared)?),
            other => return Err((line, format!("the directive or word `{other}` is not supported here"))),
        }
    }
    if parsed.target == 0 {
        return Err((1, "there is no `.target`".into()));
    }
    Ok(parsed)
}

const EXTERN: &str = "after `.extern` only `.shared` is supported (functions are not: force-inline them)";

fn version(cursor: &mut Cursor) -> Result<(), Refusal> {
    let line = cursor.peek().line;
    let first = cursor.name()?;
    if first != ".version" {
        return Err((line, format!("PTX begins with `.version`, this with `{first}`")));
    }
    let token = cursor.next();
    let major = token.text.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if token.kind != Kind::Decimal || !matches!(major, Some(7 | 8)) {
        return Err((line, format!("PTX version `{}` is not supported, only 7 and 8", token.text)));
    }
    Ok(())
}

fn target(cursor: &mut Cursor) -> Result<u32, Refusal> {
    let line = cursor.peek().line;
    let name = cursor.name()?;
    let number = name.strip_prefix("sm_").map(|n| n.strip_suffix('a').unwrap_or(n));
    let target = number.and_then(|n| n.parse().ok()).filter(|n| (80..=90).contains(n));
    if cursor.take(b',') {
        let option = cursor.name()?;
        if option != "debug" {
            return Err((line, format!("the target option `{option}` is not supported")));
        }
    }
    target
        .ok_or((line, format!("the target `{name}` is not supported: compile for compute_80 to compute_90")))
}

fn file<'a>(cursor: &mut Cursor<'a, '_>) -> Result<(u32, &'a str), Refusal> {
    let number = cursor.count()? as u32;
    let token = cursor.next();
    if token.kind != Kind::Str {
        return Err((token.line, "`.file NUMBER` needs a path in quotes".into()));
    }
    while cursor.take(b',') {
        cursor.count()?; // time stamp and size
    }
    Ok((number, token.text))
}

/// Debug information for other tools. It is read to its end, so that nothing hides in it, and kept nowhere.
fn section(cursor: &mut Cursor) -> Result<(), Refusal> {
    let line = cursor.peek().line;
    let name = cursor.name()?;
    if !name.starts_with(".debug_") {
        return Err((line, format!("the section `{name}` is not supported")));
    }
    cursor.expect(b'{')?;
    loop {
        let token = cursor.next();
        match token.kind {
            Kind::Mark(b'}') => return Ok(()),
            Kind::Name | Kind::Number(_) | Kind::Mark(b',' | b':' | b'+' | b'-') => {}
            _ => return Err((token.line, format!("`{}` is not expected in a debug section", token.text))),
        }
    }
}

/// Bytes of a fundamental type of a declaration.
pub(super) fn type_bytes(name: &str) -> Option<u64> {
    Some(match name {
        ".b8" | ".u8" | ".s8" => 1,
        ".b16" | ".u16" | ".s16" | ".f16" => 2,
        ".b32" | ".u32" | ".s32" | ".f32" => 4,
        ".b64" | ".u64" | ".s64" | ".f64" => 8,
        _ => return None,
    })
}

/// After the space: `.align 4 .b8 name[128] = {1, 2};`
pub(super) fn variable<'a>(cursor: &mut Cursor<'a, '_>, space: Space) -> Result<Variable<'a>, Refusal> {
    let line = cursor.peek().line;
    let mut align = None;
    let mut word = cursor.name()?;
    if word == ".align" {
        align = Some(alignment(cursor)?);
        word = cursor.name()?;
    }
    let element = type_bytes(word).ok_or((line, format!("`{word}` is no type of a variable")))?;
    let name = cursor.name()?;
    let (mut bytes, mut dynamic) = (element, false);
    while cursor.take(b'[') {
        if cursor.take(b']') {
            dynamic = space == Space::Shared;
            bytes = 0;
            if !dynamic {
                return Err((line, format!("`{name}[]` has no size")));
            }
            continue;
        }
        bytes = bytes.saturating_mul(cursor.count()?);
        cursor.expect(b']')?;
    }
    if bytes > MAX_VARIABLE_BYTES {
        return Err((line, format!("`{name}` is larger than {MAX_VARIABLE_BYTES} bytes")));
    }
    let initial = if cursor.take(b'=') { initial(cursor, element, bytes)? } else { Vec::new() };
    cursor.expect(b';')?;
    Ok(Variable { space, name, align: align.unwrap_or(element), bytes, dynamic, initial })
}

fn alignment(cursor: &mut Cursor) -> Result<u64, Refusal> {
    let line = cursor.peek().line;
    let align = cursor.count()?;
    let good = align.is_power_of_two() && align <= 4096;
    if good { Ok(align) } else { Err((line, format!("`.align {align}` is not a power of two up to 4096"))) }
}

fn initial(cursor: &mut Cursor, element: u64, bytes: u64) -> Result<Vec<u8>, Refusal> {
    let mut data = Vec::new();
    let braces = cursor.take(b'{');
    loop {
        let negative = cursor.take(b'-');
        let token = cursor.next();
        let value = match token.kind {
            Kind::Number(Number::Int(n)) if negative => (n as u64).wrapping_neg(),
            Kind::Number(Number::Int(n)) => n as u64,
            Kind::Number(Number::F32(n)) if !negative && element == 4 => n.into(),
            Kind::Number(Number::F64(n)) if !negative && element == 8 => n,
            _ => return Err((token.line, format!("`{}` is no initial value that is supported", token.text))),
        };
        data.extend_from_slice(&value.to_le_bytes()[..element as usize]);
        if data.len() as u64 > bytes {
            return Err((token.line, "more initial values than elements".into()));
        }
        if !(braces && cursor.take(b',')) {
            break;
        }
    }
    if braces {
        cursor.expect(b'}')?;
    }
    Ok(data)
}

fn kernel<'a>(cursor: &mut Cursor<'a, '_>, line: u32) -> Result<Kernel<'a>, Refusal> {
    let name = cursor.name()?;
    let mut kernel = Kernel {
        name,
        params: Vec::new(),
        max_threads: None,
        exact_threads: None,
        variables: Vec::new(),
        registers: Vec::new(),
        scopes: vec![0],
        labels: Vec::new(),
        statements: Vec::new(),
        line,
    };
    if cursor.take(b'(') && !cursor.take(b')') {
        let mut end = 0;
        loop {
            let (name, bytes, align) = parameter(cursor)?;
            let offset = u64::next_multiple_of(end, align);
            end = offset + bytes;
            if end > 4096 {
                return Err((line, "more than 4096 bytes of parameters".into()));
            }
            kernel.params.push((name, bytes, offset));
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.expect(b')')?;
    }
    while !cursor.take(b'{') {
        let line = cursor.peek().line;
        let directive = cursor.name()?;
        let mut sizes = [1, 1, 1];
        for (i, size) in sizes.iter_mut().enumerate() {
            if i > 0 && !cursor.take(b',') {
                break;
            }
            *size = cursor.count()?;
        }
        match directive {
            ".maxntid" => kernel.max_threads = Some(sizes.iter().fold(1, |a: u64, b| a.saturating_mul(*b))),
            ".reqntid" => kernel.exact_threads = Some(sizes),
            ".minnctapersm" | ".maxnreg" => {} // advice to the register allocator of the real compiler
            other => return Err((line, format!("the directive `{other}` of a kernel is not supported"))),
        }
    }
    body(cursor, &mut kernel)?;
    Ok(kernel)
}

/// `.param .align 8 .b8 name[16]`: name, bytes, alignment.
fn parameter<'a>(cursor: &mut Cursor<'a, '_>) -> Result<(&'a str, u64, u64), Refusal> {
    let line = cursor.peek().line;
    if cursor.name()? != ".param" {
        return Err((line, "a parameter begins with `.param`".into()));
    }
    let mut align = None;
    let mut word = cursor.name()?;
    if word == ".align" {
        align = Some(alignment(cursor)?);
        word = cursor.name()?;
    }
    let element = type_bytes(word).ok_or((line, format!("`{word}` is no type of a parameter")))?;
    // `.u64 .ptr .global .align 16 name` only informs
    if cursor.peek().text == ".ptr" {
        cursor.next();
        if matches!(cursor.peek().text, ".global" | ".shared" | ".const" | ".local") {
            cursor.next();
        }
        if cursor.peek().text == ".align" {
            cursor.next();
            alignment(cursor)?;
        }
    }
    let name = cursor.name()?;
    let mut bytes = element;
    if cursor.take(b'[') {
        bytes = element.saturating_mul(cursor.count()?);
        cursor.expect(b']')?;
    }
    if bytes > 4096 {
        return Err((line, "more than 4096 bytes of parameters".into()));
    }
    Ok((name, bytes, align.unwrap_or(element)))
}
