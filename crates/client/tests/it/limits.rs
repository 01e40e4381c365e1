//! Tasks that are too large to travel.

use dasklet_client::{Graph, TASK_BYTES, TaskSpec};

use super::scripted::Scene;

#[tokio::test]
async fn a_task_that_the_scheduler_would_refuse_is_named_before_it_is_sent() {
    let Scene { client, mut connection, .. } = Scene::new().await;
    let large = || "x".repeat(TASK_BYTES);
    let spec = |key: &str| TaskSpec::op("read", (large(),)).unwrap().key(key.to_owned());
    let mut graph = Graph::new();
    let node = graph.add(spec("inner"));
    let refusals = [
        client.submit::<u8>("read", (large(),)).map(drop),
        client.submit_task::<u8>(&spec("mine")).map(drop),
        client.submit_array::<u8>(&spec("array"), 3).map(drop),
        client.compute::<u8>(&graph, node).map(drop),
        client.map::<u8, _>("read", [(1.to_string(),), (large(),)]).await.map(drop),
    ];
    let names = ["operation 'read'", "task 'mine'", "task 'array'", "task 'inner'", "'read'"];
    for (refusal, name) in refusals.into_iter().zip(names) {
        let text = refusal.unwrap_err().to_string();
        for words in [name, &TASK_BYTES.to_string(), "put the value and pass its handle"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    let fits = "x".repeat(TASK_BYTES - 200);
    let _task = client.submit::<u8>("read", (fits,)).unwrap();
    let submit = connection.message().await.submit.unwrap();
    assert_eq!(submit.tasks.len(), 1, "none of the others was sent");
    assert!(submit.tasks[0].body.len() <= TASK_BYTES);
}
