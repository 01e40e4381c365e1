//! A stock Python client that does what it is told.

use std::{
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{ChildStdin, ChildStdout},
};

use dasklet_dask_comm::rpc::Address;
use serde_json::Value as Json;

use super::process::Process;

/// Runs a line of JSON at a time: a string of Python, whose `result` is the answer. Ends with its
/// standard input.
const LOOP: &str = "
import json, os, sys, time
from distributed import Client, wait
client = Client(sys.argv[1], timeout='30s')
names = {'__name__': '__main__', 'client': client, 'os': os, 'time': time, 'wait': wait}
for line in sys.stdin:
    names['result'] = None
    try:
        exec(json.loads(line), names)
        answer = {'result': names['result']}
    except BaseException as error:
        answer = {'error': repr(error)}
    print(json.dumps(answer), flush=True)
os._exit(0)
";

pub struct Client {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    process: Process,
}

impl Client {
    pub fn connect(address: &Address, log: PathBuf) -> Self {
        let mut process = Process::program(LOOP, &[address.to_string()], log);
        let (input, output) = process.pipes();
        Self { input, output: BufReader::new(output), process }
    }

    /// Runs `code`, and returns its `result`.
    pub fn run(&mut self, code: &str) -> Json {
        let answer = self.attempt(code);
        assert_eq!(answer.get("error"), None, "{code}");
        answer["result"].clone()
    }

    /// Runs `code`, which must fail, and returns the exception.
    pub fn run_to_error(&mut self, code: &str) -> String {
        let answer = self.attempt(code);
        answer["error"].as_str().unwrap_or_else(|| panic!("no error: {answer}")).to_owned()
    }

    /// Waits for the end of a client that cannot begin, and returns its log.
    pub fn end(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line, "", "the client has begun");
        self.process.log()
    }

    fn attempt(&mut self, code: &str) -> Json {
        writeln!(self.input, "{}", Json::from(code)).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the client ended at: {code}");
        serde_json::from_str(&line).unwrap()
    }
}
