//! Who may do what: bearer tokens, with reading and deleting apart.
//!
//! Invariant: a token is kept as its hash only, and comparing takes as long for a wrong one as for a right one.

use std::hint::black_box;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::answer::Trouble;
use super::app::App;
use crate::config::{Right, TokenSettings};

/// What anybody may see: nothing of the data.
const OPEN: [&str; 2] = ["/health", "/openapi.json"];

pub(super) struct Tokens(Vec<Token>);

struct Token {
    hash: [u8; 32],
    may: Vec<Right>,
}

impl Tokens {
    pub(super) fn new(settings: &[TokenSettings]) -> Self {
        let token = |token: &TokenSettings| Token {
            hash: Sha256::digest(token.token.expose_secret().as_bytes()).into(),
            may: token.may.clone(),
        };
        Self(settings.iter().map(token).collect())
    }

    fn judge(&self, headers: &HeaderMap, right: Right) -> Result<(), Trouble> {
        if self.0.is_empty() {
            // The settings saw to it that only this machine can be asking.
            return if right == Right::Read { Ok(()) } else { Err(nobody_may()) };
        }
        let token = bearer(headers).and_then(|token| self.find(token)).ok_or_else(who_are_you)?;
        if token.may.contains(&right) { Ok(()) } else { Err(may_not(right)) }
    }

    /// Looks at all of them, wherever it is found.
    fn find(&self, token: &[u8]) -> Option<&Token> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let mut found = None;
        for known in &self.0 {
            let differences = known.hash.iter().zip(&hash).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
            if differences == 0 {
                found = Some(known);
            }
        }
        found
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

fn nobody_may() -> Trouble {
    Trouble::new(StatusCode::FORBIDDEN, "nobody may delete, since no token is configured")
        .hint("add [[serve.tokens]] with may = [\"delete\"] to the configuration, or set TIMESWEEP_DELETE_TOKEN beside `--omotes`")
}

fn who_are_you() -> Trouble {
    Trouble::new(StatusCode::UNAUTHORIZED, "this needs a token that is known here")
        .hint("send `Authorization: Bearer …` with a token of [[serve.tokens]], or with the one in TIMESWEEP_READ_TOKEN or TIMESWEEP_DELETE_TOKEN beside `--omotes`")
}

fn may_not(right: Right) -> Trouble {
    let name = if right == Right::Read { "read" } else { "delete" };
    Trouble::new(StatusCode::FORBIDDEN, format!("this token may not {name}"))
        .hint(format!("use another one, or add \"{name}\" to its `may`; beside `--omotes` TIMESWEEP_DELETE_TOKEN may do both"))
}

pub(super) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let right = match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => Right::Read,
        _ => Right::Delete,
    };
    let is_open = right == Right::Read && OPEN.contains(&request.uri().path());
    match app.tokens.judge(request.headers(), right) {
        Err(trouble) if !is_open => trouble.into_response(),
        _ => next.run(request).await,
    }
}
