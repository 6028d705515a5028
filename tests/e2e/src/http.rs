//! A small HTTP client and a receiver of webhooks.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::server::PATIENCE;

/// An application that submits by HTTP.
#[derive(Debug, Clone)]
pub struct Http {
    /// Port on the loopback interface.
    pub port: u16,
    /// Its bearer token.
    pub token: String,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body as JSON, if the status is this.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }
}

impl Http {
    /// One request on a connection of its own. A server that was just started may not listen yet.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let begin = Instant::now();
        loop {
            match self.try_request(method, path, headers, body) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused && begin.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(20));
                }
                answer => return answer.unwrap(),
            }
        }
    }

    /// The same; an error where the connection breaks.
    pub fn try_request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        if !self.token.is_empty() {
            head += &format!("Authorization: Bearer {}\r\n", self.token);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes())?;
        // A server that refuses need not read all of it.
        let _ = stream.write_all(body);
        read_answer(stream)
    }

    /// Submits a message as JSON.
    #[track_caller]
    pub fn send(&self, message: &Value) -> Answer {
        self.request("POST", "/v1/messages", &[("Content-Type", "application/json")], message.to_string().as_bytes())
    }

    /// Submits a message as it is.
    #[track_caller]
    pub fn send_raw(&self, query: &str, message: &[u8]) -> Answer {
        self.request("POST", &format!("/v1/messages{query}"), &[("Content-Type", "message/rfc822")], message)
    }

    /// What became of a message.
    #[track_caller]
    pub fn state(&self, id: &str) -> Answer {
        self.request("GET", &format!("/v1/messages/{id}"), &[], b"")
    }

    /// Waits until the state of a message is this; all of what was answered.
    #[track_caller]
    pub fn wait_for(&self, id: &str, state: &str) -> Value {
        let begin = Instant::now();
        loop {
            let answer = self.state(id).expect(200);
            if answer["state"] == state {
                return answer;
            }
            assert!(begin.elapsed() < PATIENCE, "it is not {state}: {answer}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn read_answer(stream: TcpStream) -> std::io::Result<Answer> {
    let mut lines = BufReader::new(stream);
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other(format!("no answer: {line:?}")))?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let mut body = String::new();
    lines.read_to_string(&mut body)?;
    Ok(Answer { status, headers, body })
}

/// A receiver of webhooks on the loopback interface. It lives as long as the process.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Where it is posted to.
    pub url: String,
    posts: Arc<Mutex<Vec<Post>>>,
    refusals: Arc<Mutex<usize>>,
}

/// What was posted.
#[derive(Debug, Clone)]
pub struct Post {
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Value,
    /// It was answered with success.
    pub taken: bool,
}

impl Post {
    /// `webhook-id`.
    #[track_caller]
    pub fn id(&self) -> &str {
        &self.headers.iter().find(|(name, _)| name == "webhook-id").unwrap().1
    }
}

impl Hook {
    /// Starts it; so many posts are answered `503` first.
    pub fn start(refusals: usize) -> Hook {
        Hook::start_at(0, refusals)
    }

    /// The same on this port.
    pub fn start_at(port: u16, refusals: usize) -> Hook {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let url = format!("http://127.0.0.1:{}/hook", listener.local_addr().unwrap().port());
        let hook = Hook { url, posts: Arc::default(), refusals: Arc::new(Mutex::new(refusals)) };
        let at_work = hook.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let hook = at_work.clone();
                thread::spawn(move || drop(hook.serve(stream)));
            }
        });
        hook
    }

    /// What was posted, in order.
    pub fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }

    /// Waits until so many posts were taken; those.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Post> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            let taken: Vec<Post> = self.posts().into_iter().filter(|post| post.taken).collect();
            if taken.len() >= count {
                return taken;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("of {count} posts there are {:?}", self.posts());
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut out = stream.try_clone()?;
        let mut lines = BufReader::new(stream);
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let (mut headers, mut length) = (Vec::new(), 0);
            loop {
                let mut line = String::new();
                lines.read_line(&mut line)?;
                let Some((name, value)) = line.split_once(':') else { break };
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.trim().parse().unwrap();
                }
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            let mut body = vec![0; length];
            lines.read_exact(&mut body)?;
            let taken = {
                let mut refusals = self.refusals.lock().unwrap();
                let taken = *refusals == 0;
                *refusals = refusals.saturating_sub(1);
                taken
            };
            self.posts.lock().unwrap().push(Post { headers, body: serde_json::from_slice(&body).unwrap(), taken });
            let answer: &[u8] = match taken {
                true => b"HTTP/1.1 204 No Content\r\n\r\n",
                false => b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            };
            out.write_all(answer)?;
        }
    }
}
