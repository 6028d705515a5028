//! Connections to other hosts that are kept for the next message.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::SmartHost;
use super::client::Client;
use super::terms::Station;

/// Messages sent over one connection before a fresh one is made.
const MESSAGES: u32 = 100;
/// A host whose TLS is broken gets its mail in plain text for so long.
const WITHOUT_TLS: Duration = Duration::from_secs(3600);
/// Hosts of which that is remembered.
const MOST_WITHOUT_TLS: usize = 1000;

/// Idle connections by host and terms, on the delivery loop's thread.
#[derive(Default)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<Station, Vec<(u64, Client)>>>,
    next: Cell<u64>,
    without_tls: RefCell<HashMap<SmartHost, Instant>>,
}

impl Pool {
    /// A connection that is ready for a message, if there is one that the host has not closed.
    pub(crate) fn take(&self, host: &Station) -> Option<Client> {
        let mut idle = self.idle.borrow_mut();
        let clients = idle.get_mut(host)?;
        while let Some((_, mut client)) = clients.pop() {
            if client.is_alive() {
                return Some(client);
            }
        }
        idle.remove(host);
        None
    }

    /// Keeps a connection for `keep`, then closes it.
    pub(crate) fn put(self: &Rc<Pool>, host: &Station, client: Client, keep: Duration) {
        if client.messages() >= MESSAGES || client.is_spent() || keep.is_zero() {
            tokio::task::spawn_local(client.quit());
            return;
        }
        let number = self.next.get();
        self.next.set(number + 1);
        self.idle.borrow_mut().entry(host.clone()).or_default().push((number, client));
        let (pool, host) = (Rc::clone(self), host.clone());
        tokio::task::spawn_local(async move {
            tokio::time::sleep(keep).await;
            if let Some(client) = pool.remove(&host, number) {
                client.quit().await;
            }
        });
    }

    fn remove(&self, host: &Station, number: u64) -> Option<Client> {
        let mut idle = self.idle.borrow_mut();
        let clients = idle.get_mut(host)?;
        let index = clients.iter().position(|(other, _)| *other == number)?;
        let (_, client) = clients.swap_remove(index);
        if clients.is_empty() {
            idle.remove(host);
        }
        Some(client)
    }

    /// May TLS be tried with this host?
    pub(crate) fn tls_works(&self, host: &SmartHost) -> bool {
        self.without_tls.borrow().get(host).is_none_or(|until| *until <= Instant::now())
    }

    /// A TLS handshake with this host failed.
    pub(crate) fn tls_failed(&self, host: &SmartHost) {
        let mut hosts = self.without_tls.borrow_mut();
        let now = Instant::now();
        if hosts.len() >= MOST_WITHOUT_TLS {
            hosts.retain(|_, until| *until > now);
        }
        if hosts.len() < MOST_WITHOUT_TLS {
            hosts.insert(host.clone(), now + WITHOUT_TLS);
        }
    }
}
