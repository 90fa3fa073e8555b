//! PromQL as far as rules about probes use it.

use std::time::Duration;

use super::lexer::{Token, tokens};
use crate::import::text::duration;

/// Deeper than any rule.
const MAX_DEPTH: usize = 32;
/// Longer than any rule.
const MAX_BYTES: usize = 16 * 1024;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Number(f64),
    Vector(Vector),
    Call(String, Vec<Expression>),
    Binary(&'static str, Box<Expression>, Box<Expression>),
}

/// A metric with what selects its series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Vector {
    pub(super) metric: String,
    pub(super) selectors: Vec<Selector>,
    pub(super) range: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Selector {
    pub(super) label: String,
    pub(super) operator: &'static str,
    pub(super) value: String,
}

/// Operators by how strongly they bind, the weakest first.
const LEVELS: [&[&str]; 5] = [
    &["or"],
    &["and"],
    &["==", "!=", "<=", ">=", "<", ">"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl Expression {
    /// The error is what is not read.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() || text.len() > MAX_BYTES {
            return Err("is no expression".to_owned());
        }
        let mut parser = Parser {
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
        };
        let expression = parser.binary(0)?;
        match parser.next() {
            None => Ok(expression),
            Some(token) => Err(format!(
                "is more than a comparison of probe metrics, at {}",
                shown(&token)
            )),
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned()
    }

    fn takes(&mut self, sign: &'static str) -> bool {
        let is_next = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(is_next);
        is_next
    }

    fn wants(&mut self, sign: &'static str) -> Result<(), String> {
        if self.takes(sign) {
            return Ok(());
        }
        Err(format!("has no `{sign}` where one belongs"))
    }

    fn operator(&self, level: usize) -> Option<&'static str> {
        let operators = LEVELS.get(level)?;
        let text = match self.peek()? {
            Token::Sign(sign) => (*sign).to_owned(),
            Token::Word(word) => word.to_lowercase(),
            _ => return None,
        };
        operators.iter().copied().find(|operator| *operator == text)
    }

    fn binary(&mut self, level: usize) -> Result<Expression, String> {
        if level == LEVELS.len() {
            return self.unary();
        }
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.operator(level) {
            self.at += 1;
            if let Some(Token::Word(word)) = self.peek()
                && ["bool", "on", "ignoring", "group_left", "group_right"].contains(&word.as_str())
            {
                return Err(format!("has the modifier `{word}`"));
            }
            let right = self.binary(level + 1)?;
            left = Expression::Binary(operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("is nested too deeply".to_owned());
        }
        let found = if self.takes("-") {
            let operand = self.unary()?;
            let zero = Box::new(Expression::Number(0.0));
            Expression::Binary("-", zero, Box::new(operand))
        } else if self.takes("+") {
            self.unary()?
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Ok(found)
    }

    fn primary(&mut self) -> Result<Expression, String> {
        match self.next() {
            Some(Token::Number(number)) => Ok(Expression::Number(number)),
            Some(Token::Sign("(")) => {
                let inner = self.binary(0)?;
                self.wants(")")?;
                Ok(inner)
            }
            Some(Token::Word(word)) if self.takes("(") => {
                let mut arguments = Vec::new();
                while !self.takes(")") {
                    arguments.push(self.binary(0)?);
                    if !self.takes(",") {
                        self.wants(")")?;
                        break;
                    }
                }
                Ok(Expression::Call(word, arguments))
            }
            Some(Token::Word(word)) => self.vector(word),
            Some(token) => Err(format!("can't be read at {}", shown(&token))),
            None => Err("ends too early".to_owned()),
        }
    }

    fn vector(&mut self, metric: String) -> Result<Expression, String> {
        let mut selectors = Vec::new();
        if self.takes("{") {
            while !self.takes("}") {
                selectors.push(self.selector()?);
                if !self.takes(",") {
                    self.wants("}")?;
                    break;
                }
            }
        }
        selectors.sort();
        let mut range = None;
        if let Some(Token::Range(text)) = self.peek().cloned() {
            self.at += 1;
            range = Some(duration(&text).ok_or_else(|| format!("`[{text}]` is no range"))?);
        }
        Ok(Expression::Vector(Vector {
            metric,
            selectors,
            range,
        }))
    }

    fn selector(&mut self) -> Result<Selector, String> {
        let Some(Token::Word(label)) = self.next() else {
            return Err("has a selector without a label".to_owned());
        };
        let operators = ["=", "!=", "=~", "!~"];
        let operator = operators.into_iter().find(|sign| self.takes(sign));
        match (operator, self.next()) {
            (Some(operator), Some(Token::Text(value))) => Ok(Selector {
                label,
                operator,
                value,
            }),
            _ => Err(format!("has a selector of `{label}` that can't be read")),
        }
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Number(number) => format!("`{number}`"),
        Token::Word(word) => format!("`{word}`"),
        Token::Text(text) => format!("\"{text}\""),
        Token::Range(text) => format!("`[{text}]`"),
        Token::Sign(sign) => format!("`{sign}`"),
    }
}
