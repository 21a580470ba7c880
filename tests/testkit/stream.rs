//! Asynchronous clients of a mock in memory.

use std::future::Future;
use std::io::ErrorKind;
use std::time::Duration;

use qmonitor_testkit::{qmp, AsyncPeer, AsyncSim, Mock, Sim, Slice};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::task::LocalSet;

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    LocalSet::new().block_on(&runtime.unwrap(), test)
}

struct Client(BufReader<AsyncPeer>);

impl Client {
    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    async fn connect(mock: &AsyncSim) -> Client {
        let mut client = Client(BufReader::new(mock.connect()));
        assert!(client.line().await.starts_with("{\"QMP\""));
        client.send("qmp_capabilities").await;
        assert_eq!(client.line().await, "{\"return\": {}}");
        client
    }

    async fn send(&mut self, command: &str) {
        let request = format!("{{'execute': '{command}'}}");
        self.0.write_all(request.as_bytes()).await.unwrap();
    }
}

#[test]
fn a_client_that_waits_goes_on_when_the_mock_does_something() {
    run(async {
        let mock = AsyncSim::new(Sim::of(
            "stubs: [{when: {execute: query-name}, hold: slow}]",
        ));
        let mut client = Client::connect(&mock).await;
        client.send("query-name").await;
        let job = tokio::task::spawn_local(async move { client.line().await });
        tokio::task::yield_now().await;
        assert!(!job.is_finished());
        mock.with(|sim| sim.release("slow"));
        assert_eq!(job.await.unwrap(), "{\"return\": {}}");
    });
}

#[test]
fn what_one_client_does_wakes_another() {
    run(async {
        let mock = AsyncSim::new(Mock::machine().sim());
        let mut one = Client::connect(&mock).await;
        let mut other = Client::connect(&mock).await;
        let job = tokio::task::spawn_local(async move { other.line().await });
        tokio::task::yield_now().await;
        one.send("stop").await;
        assert!(one.line().await.contains("STOP"));
        assert!(job.await.unwrap().contains("STOP"));
    });
}

#[test]
fn time_is_the_tests() {
    run(async {
        let stub = "stubs: [{when: {execute: stop}, reply: {return: {}}, delay: 1h}]";
        let mock = AsyncSim::new(Sim::of(stub));
        let mut client = Client::connect(&mock).await;
        client.send("stop").await;
        let job = tokio::task::spawn_local(async move { client.line().await });
        tokio::task::yield_now().await;
        mock.with(|sim| sim.advance(Duration::from_secs(3599)));
        tokio::task::yield_now().await;
        assert!(!job.is_finished());
        mock.with(|sim| sim.advance(Duration::from_secs(1)));
        assert_eq!(job.await.unwrap(), "{\"return\": {}}");
    });
}

#[test]
fn a_connection_ends_on_either_side() {
    run(async {
        let fault = "faults: {die: {at: reply, of: stop, do: [{send: 5}, close]}}";
        let mock = AsyncSim::new(Sim::of(fault));
        let mut client = Client::connect(&mock).await;
        client.send("stop").await;
        let mut rest = String::new();
        client.0.read_to_string(&mut rest).await.unwrap();
        assert!(rest.ends_with("{\"ret"), "{rest}");
        let e = client.0.write_all(b"{}").await.unwrap_err();
        assert_eq!(e.kind(), ErrorKind::BrokenPipe);

        let mut client = Client::connect(&mock).await;
        client.send("query-name").await;
        client.0.shutdown().await.unwrap();
        let mut rest = String::new();
        client.0.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "{\"return\": {}}\r\n", "what is owed comes first");

        drop(Client::connect(&mock).await);
        mock.with(|sim| assert_eq!(sim.received().commands().len(), 5));
    });
}

#[test]
fn the_same_seed_gives_the_same_pieces() {
    let pieces = |seed| {
        run(async {
            let mock = AsyncSim::new(Mock::machine().seed(seed).sim());
            mock.with(|sim| sim.fault(Slice::random()));
            let mut peer = mock.connect();
            peer.write_all(qmp!("qmp_capabilities").to_json().as_bytes())
                .await
                .unwrap();
            peer.shutdown().await.unwrap();
            let (mut sizes, mut buf) = (Vec::new(), [0; 4096]);
            loop {
                match peer.read(&mut buf).await.unwrap() {
                    0 => return sizes,
                    n => sizes.push(n),
                }
            }
        })
    };
    assert_eq!(pieces(3), pieces(3));
    assert_ne!(pieces(3), pieces(4));
}
