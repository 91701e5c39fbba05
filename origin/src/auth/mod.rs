//! Who is let in: the keys and tokens of members, what they may do at sockets, over REST and over links, and which
//! pages in browsers may call.

mod tokens;
mod access;
mod link_authorizer;
mod pages;

pub(crate) use self::{access::Action, link_authorizer::LinkAuthorizer};

pub use self::{
    access::Access,
    pages::Pages,
    tokens::{Tokens, TokensError},
};
