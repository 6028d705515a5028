//! Lists come in pages; a command shows them as one.

use admin::operations::{Page, Request, Response};
use admin::{AdminError, Endpoint};
use indicatif::ProgressBar;

use super::run::spinner;

/// Asks, and asks on until a list is complete.
pub fn all(endpoint: &mut Endpoint, comment: &str, request: Request) -> Result<Response, AdminError> {
    let mut response = endpoint.call(comment, request.clone())?;
    let bar = next(&response).map(|_| spinner("{spinner} {pos} pages, {elapsed}"));
    while let Some(after) = next(&response) {
        let mut request = request.clone();
        match &mut request {
            Request::UserList(list) | Request::GroupList(list) | Request::MailboxList(list) => list.after = Some(after),
            Request::PermissionUnused(unused) => unused.after = Some(after),
            _ => return Ok(response),
        }
        bar.iter().for_each(|bar| bar.inc(1));
        append(&mut response, endpoint.call(comment, request)?);
    }
    bar.iter().for_each(ProgressBar::finish_and_clear);
    Ok(response)
}

fn next(response: &Response) -> Option<u32> {
    match response {
        Response::Users(page) => page.next,
        Response::Groups(page) => page.next,
        Response::Mailboxes(page) => page.next,
        Response::Usage(page) => page.next,
        _ => None,
    }
}

fn append(all: &mut Response, more: Response) {
    fn join<T>(all: &mut Page<T>, more: Page<T>) {
        all.rows.extend(more.rows);
        all.next = more.next;
    }
    match (all, more) {
        (Response::Users(all), Response::Users(more)) => join(all, more),
        (Response::Groups(all), Response::Groups(more)) => join(all, more),
        (Response::Mailboxes(all), Response::Mailboxes(more)) => join(all, more),
        (Response::Usage(all), Response::Usage(more)) => join(all, more),
        // The service changed its mind about what was asked: what is there is all there is.
        (Response::Users(Page { next, .. }), _)
        | (Response::Groups(Page { next, .. }), _)
        | (Response::Mailboxes(Page { next, .. }), _)
        | (Response::Usage(Page { next, .. }), _) => *next = None,
        _ => {}
    }
}
