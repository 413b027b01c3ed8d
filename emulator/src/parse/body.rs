//! The inside of a kernel: registers, variables, labels, `.loc`, and instructions with their operands. Braces open scopes,
//! as inline assembly does, in which names of their own may be declared.

use super::cursor::Cursor;
use super::lex::Kind;
use super::module::variable;
use super::{Base, Kernel, Number, Operand, Refusal, RegisterDecl, Space, Statement};

const MAX_DEPTH: usize = 32;

/// Reads up to the brace that closes the body; the opening one has been taken.
pub(super) fn body<'a>(cursor: &mut Cursor<'a, '_>, kernel: &mut Kernel<'a>) -> Result<(), Refusal> {
    let mut open = vec![0_u32];
    let mut loc = (0, 0);
    loop {
        let token = cursor.peek();
        let scope = open[open.len() - 1];
        match token.kind {
            Kind::Mark(b'{') => {
                cursor.next();
                if open.len() >= MAX_DEPTH {
                    return Err((token.line, format!("scopes are nested deeper than {MAX_DEPTH}")));
                }
                open.push(kernel.scopes.len() as u32);
                kernel.scopes.push(scope);
            }
            Kind::Mark(b'}') => {
                cursor.next();
                open.pop();
                if open.is_empty() {
                    return Ok(());
                }
            }
            Kind::Mark(b';') => {
                cursor.next(); // an empty statement, as inline assembly leaves behind
            }
            Kind::Name if token.text.starts_with('.') => directive(cursor, kernel, scope, &mut loc)?,
            Kind::Name if cursor.peek_second().kind == Kind::Mark(b':') => {
                cursor.next();
                cursor.next();
                kernel.labels.push((token.text, scope, kernel.statements.len() as u32));
            }
            Kind::Name | Kind::Mark(b'@') => {
                let statement = statement(cursor, scope, loc)?;
                kernel.statements.push(statement);
            }
            _ => return Err(cursor.refuse("an instruction, a directive or `}`")),
        }
    }
}

fn directive<'a>(
    cursor: &mut Cursor<'a, '_>,
    kernel: &mut Kernel<'a>,
    scope: u32,
    loc: &mut (u32, u32),
) -> Result<(), Refusal> {
    let line = cursor.peek().line;
    match cursor.name()? {
        ".reg" => {
            let class = cursor.name()?;
            loop {
                let name = cursor.name()?;
                let mut count = None;
                if cursor.take(b'<') {
                    let number = cursor.count()?;
                    count = Some(u32::try_from(number).map_err(|_| (line, "too many registers".into()))?);
                    cursor.expect(b'>')?;
                }
                kernel.registers.push(RegisterDecl { name, count, class, scope, line });
                if !cursor.take(b',') {
                    break;
                }
            }
            cursor.expect(b';')
        }
        ".shared" => {
            kernel.variables.push(variable(cursor, Space::Shared)?);
            Ok(())
        }
        ".local" => {
            kernel.variables.push(variable(cursor, Space::Local)?);
            Ok(())
        }
        ".loc" => {
            *loc = (cursor.count()? as u32, cursor.count()? as u32);
            cursor.count()?;
            while cursor.take(b',') {
                match cursor.name()? {
                    "function_name" => {
                        cursor.name()?;
                        if cursor.take(b'+') {
                            cursor.count()?;
                        }
                    }
                    "inlined_at" => {
                        for _ in 0..3 {
                            cursor.count()?;
                        }
                    }
                    other => return Err((line, format!("`{other}` is not known in `.loc`"))),
                }
            }
            Ok(())
        }
        ".pragma" => {
            let token = cursor.next();
            if token.text != "nounroll" {
                return Err((line, format!("the pragma `{}` is not supported", token.text)));
            }
            cursor.expect(b';')
        }
        other => Err((line, format!("the directive `{other}` is not supported in a kernel"))),
    }
}

fn statement<'a>(cursor: &mut Cursor<'a, '_>, scope: u32, loc: (u32, u32)) -> Result<Statement<'a>, Refusal> {
    let line = cursor.peek().line;
    let mut guard = None;
    if cursor.take(b'@') {
        guard = Some((cursor.take(b'!'), cursor.name()?));
    }
    let opcode = cursor.name()?;
    let mut operands = Vec::new();
    if !cursor.take(b';') {
        loop {
            operands.push(operand(cursor, true)?);
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.expect(b';')?;
    }
    Ok(Statement { line, loc, guard, opcode, operands, scope })
}

fn operand<'a>(cursor: &mut Cursor<'a, '_>, pack_allowed: bool) -> Result<Operand<'a>, Refusal> {
    let token = cursor.peek();
    match token.kind {
        Kind::Mark(b'{') if pack_allowed => {
            cursor.next();
            let mut parts = vec![operand(cursor, false)?];
            while cursor.take(b',') {
                parts.push(operand(cursor, false)?);
            }
            cursor.expect(b'}')?;
            if parts.len() > 8 {
                return Err((token.line, "a pack of more than 8".into()));
            }
            Ok(Operand::Pack(parts))
        }
        Kind::Mark(b'[') if pack_allowed => address(cursor),
        Kind::Mark(b'!') => {
            cursor.next();
            Ok(Operand::Not(cursor.name()?))
        }
        Kind::Mark(b'-') | Kind::Number(_) => Ok(Operand::Number(signed(cursor)?)),
        Kind::Name => {
            cursor.next();
            if token.text == "_" {
                return Ok(Operand::Sink);
            }
            if cursor.take(b'|') {
                return Ok(Operand::Pair(token.text, cursor.name()?));
            }
            match offset(cursor)? {
                0 => Ok(Operand::Name(token.text)),
                offset => Ok(Operand::NamePlus(token.text, offset)),
            }
        }
        _ => Err(cursor.refuse("an operand")),
    }
}

fn signed(cursor: &mut Cursor) -> Result<Number, Refusal> {
    let negative = cursor.take(b'-');
    let token = cursor.next();
    match token.kind {
        Kind::Number(Number::Int(n)) => Ok(Number::Int(if negative { -n } else { n })),
        Kind::Number(number) if !negative => Ok(number),
        _ => Err((token.line, format!("`{}` is not a number with a sign", token.text))),
    }
}

/// `+4`, `+-4`, or nothing.
fn offset(cursor: &mut Cursor) -> Result<i64, Refusal> {
    if !cursor.take(b'+') {
        return Ok(0);
    }
    let line = cursor.peek().line;
    match signed(cursor)? {
        Number::Int(n) => i64::try_from(n).map_err(|_| (line, format!("the offset {n} is too large"))),
        _ => Err((line, "an offset is a whole number".into())),
    }
}

fn address<'a>(cursor: &mut Cursor<'a, '_>) -> Result<Operand<'a>, Refusal> {
    cursor.next();
    let line = cursor.peek().line;
    let operand = match cursor.peek().kind {
        Kind::Name => {
            let base = Base::Name(cursor.next().text);
            Operand::Address(base, offset(cursor)?)
        }
        _ => match signed(cursor)? {
            Number::Int(n) => {
                let n = i64::try_from(n).map_err(|_| (line, format!("the address {n} is too large")))?;
                Operand::Address(Base::Absolute, n)
            }
            _ => return Err((line, "an address is a whole number".into())),
        },
    };
    cursor.expect(b']')?;
    Ok(operand)
}

#[cfg(test)]
mod tests {
    use super::super::{Base, Number, Operand, parse};

    fn wrap(body: &str) -> String {
        format!(
            ".version 8.8\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u32 p)\n{{\n{body}\n}}\n"
        )
    }

    #[test]
    fn statements_scopes_and_operands() {
        let text = wrap(
            "\t.loc 1 7 3\n@!%p1 ld.global.v2.u32 {%r1, _}, [%rd2+-8];\n{ .reg .b32 c; L: mov.b32 c, 0f3F800000; }",
        );
        let parsed = parse(&text).unwrap();
        let kernel = &parsed.kernels[0];
        let first = &kernel.statements[0];
        assert_eq!((first.line, first.loc, first.guard), (7, (1, 7), Some((true, "%p1"))));
        assert_eq!(first.operands[0], Operand::Pack(vec![Operand::Name("%r1"), Operand::Sink]));
        assert_eq!(first.operands[1], Operand::Address(Base::Name("%rd2"), -8));
        assert_eq!(kernel.statements[1].operands[1], Operand::Number(Number::F32(0x3f80_0000)));
        assert_eq!((kernel.statements[1].scope, kernel.labels[0]), (1, ("L", 1, 1)));
        assert_eq!(kernel.params, [("p", 4, 0)]);
    }

    #[test]
    fn what_is_not_known_is_refused_with_its_line() {
        for (body, word) in [
            (".align 4;", ".align"),
            (".pragma \"unroll\";", "unroll"),
            (".loc 1 2 3, what 4", "what"),
            ("add.s32 %r1, %r2", "`;`"),
            ("ret", "operand"),
            ("mov.u32 %r1, -0f3F800000;", "sign"),
            ("{{", "instruction"),
        ] {
            let (line, message) = parse(&wrap(body)).unwrap_err();
            assert!(line >= 6 && message.contains(word), "{body}: {line}: {message}");
        }
        assert!(parse(".version 8.8\n.target sm_75\n").unwrap_err().1.contains("sm_75"));
        assert!(parse(".version 9.8\n").unwrap_err().1.contains("9.8"));
        assert!(parse("").is_err());
    }
}
