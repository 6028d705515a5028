//! Hosts of a network of their own: each a network namespace, joined by a bridge that nothing else is joined to.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::server::finish;

/// Hosts that can reach each other, and nobody else. They go with this value, or with the process.
#[derive(Debug)]
pub struct Network {
    hosts: Vec<Namespace>,
    bridge: Namespace,
}

impl Network {
    /// What has to be installed for it.
    pub const PROGRAMS: [&'static str; 3] = ["ip", "nsenter", "unshare"];

    /// Whether this process may make network namespaces (it must be root).
    pub fn possible() -> bool {
        rustix::process::geteuid().is_root()
    }

    /// A network of so many hosts, with the addresses 192.0.2.1 and so on ([`Network::address`]).
    #[track_caller]
    pub fn of(count: usize) -> Network {
        let bridge = Namespace::make();
        bridge.run("ip link add bridge type bridge && ip link set bridge up");
        let hosts: Vec<Namespace> = (0..count).map(|_| Namespace::make()).collect();
        for (index, host) in hosts.iter().enumerate() {
            let pid = host.holder.id();
            bridge.run(&format!(
                "ip link add port{index} type veth peer name eth0 netns {pid} && ip link set port{index} master bridge up"
            ));
            host.run(&format!("ip address add {}/24 dev eth0 && ip link set eth0 up", Network::address(index)));
        }
        Network { hosts, bridge }
    }

    /// The address of a host.
    pub fn address(host: usize) -> Ipv4Addr {
        Ipv4Addr::new(192, 0, 2, u8::try_from(host + 1).unwrap())
    }

    /// A command that runs at a host.
    pub fn command(&self, host: usize, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.hosts[host].holder.id())).arg(program);
        command
    }

    /// A host can be reached by the others, or is cut off.
    #[track_caller]
    pub fn connect(&self, host: usize, connected: bool) {
        self.bridge.run(&format!("ip link set port{host} {}", if connected { "up" } else { "down" }));
    }

    /// A process that is at a host as long as the network lives.
    pub(crate) fn holder(&self, host: usize) -> u32 {
        self.hosts[host].holder.id()
    }

    /// Does something at a host: what is connected, listened on and started there, is there.
    #[track_caller]
    pub fn at<T: Send>(&self, host: usize, act: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/proc/{}/ns/net", self.hosts[host].holder.id())).unwrap();
        let there = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            act()
        };
        thread::scope(|scope| scope.spawn(there).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// A network namespace, held by a process that ends when its input does.
#[derive(Debug)]
struct Namespace {
    holder: Child,
}

impl Namespace {
    #[track_caller]
    fn make() -> Namespace {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo ready && read _"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "no network namespace");
        Namespace { holder }
    }

    #[track_caller]
    fn run(&self, script: &str) {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).args(["sh", "-c", script]);
        finish(&mut command, "").ok();
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
