//! A real stock scheduler, asked in the words of our own.

#![allow(clippy::unwrap_used)]

mod dask;

use dask::{Cluster, until};
use dasklet_core::{
    DeathCause, Resources,
    demand::{Demand, DemandRequest, Member, MemberRef, MemberState, Shape},
};
use dasklet_dask_comm::stock::StockApi;

const GROUP: &str = "demo-default";

fn request(after: Option<u64>) -> DemandRequest {
    let shape = Shape { group: GROUP.to_owned(), resources: Resources::one_slot(), most: 50 };
    DemandRequest {
        shapes: vec![shape],
        after,
        wait_millis: Some(20_000),
        target_duration_seconds: Some(1.0),
    }
}

fn useful(demand: &Demand) -> u32 {
    demand.trials[0].useful
}

async fn member(api: &StockApi, name: &str) -> Option<Member> {
    api.members().await.unwrap().into_iter().find(|member| member.name == name)
}

fn reference(member: &Member) -> MemberRef {
    MemberRef { name: member.name.clone(), instance: Some(member.instance.clone()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_without_workers_is_demand_and_idleness_is_none() {
    let mut cluster = Cluster::start(0).await;
    let api = StockApi::new(cluster.stock());
    let idle = api.demand(&request(None)).await.unwrap();
    assert_eq!((useful(&idle), idle.groups[0].members), (0, 0));
    assert!(idle.epoch > 0);

    let mut client = cluster.client();
    // The answer waits for the news.
    let next = request(Some(idle.version));
    let (news, ()) = tokio::join!(api.demand(&next), async {
        client.run("futures = client.map(time.sleep, [1 + i / 1000 for i in range(20)])");
    });
    let mut news = news.unwrap();
    assert!(news.version > idle.version);
    while useful(&news) == 0 {
        news = api.demand(&request(Some(news.version))).await.unwrap();
    }
    assert_eq!(news.idle_seconds, None);

    cluster.start_worker("demo-default-worker-0");
    until("the worker counts, and more are wanted", async || {
        let demand = api.demand(&request(None)).await.unwrap();
        let load = &demand.groups[0];
        let is_so = load.members == 1 && load.needed == 1 && useful(&demand) > 1;
        (is_so && demand.classes[0].running == 1).then_some(())
    })
    .await;
    client.run("client.cancel(futures)\ndel futures");
    until("there is no more demand", async || {
        let demand = api.demand(&request(None)).await.unwrap();
        (useful(&demand) == 0 && demand.idle_seconds.is_some()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_drained_and_the_last_one_stays() {
    let mut cluster = Cluster::start(2).await;
    let api = StockApi::new(cluster.stock());
    let mut client = cluster.client();
    client.run("data = [client.submit(os.urandom, 1000 + i) for i in range(8)]\nwait(data, 30)");
    let read = "import hashlib\n\
                result = [hashlib.sha256(it).hexdigest() for it in client.gather(data)]";
    let before = client.run(read);

    let w0 = member(&api, "w0").await.unwrap();
    assert_eq!(w0.state, MemberState::Serving);
    api.drain(&[reference(&w0)], Some(30.0)).await.unwrap();
    until("w0 is drained", async || {
        let w0 = member(&api, "w0").await.unwrap();
        assert!(matches!(w0.state, MemberState::Draining | MemberState::Drained), "{w0:?}");
        (w0.state == MemberState::Drained).then_some(())
    })
    .await;
    cluster.process("w0").kill();

    let w1 = member(&api, "w1").await.unwrap();
    api.drain(&[reference(&w1)], Some(0.0)).await.unwrap();
    until("w1 has refused", async || {
        let w1 = member(&api, "w1").await.unwrap();
        (w1.state == MemberState::Serving).then_some(())
    })
    .await;
    assert_eq!(client.run(read), before);

    // As soon as somebody can take what it holds, it can go.
    cluster.start_worker("w2");
    until("w2 has come", async || member(&api, "w2").await).await;
    until("w1 is drained", async || {
        api.drain(&[reference(&w1)], Some(0.0)).await.unwrap();
        (member(&api, "w1").await.unwrap().state == MemberState::Drained).then_some(())
    })
    .await;
    assert_eq!(client.run(read), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_died_is_told_by_its_name_and_address() {
    let mut cluster = Cluster::without_second_chance(2).await;
    let api = StockApi::new(cluster.stock());
    let mut client = cluster.client();
    let flag = cluster.path("flag");
    client.run(&format!(
        "def wait_for(path):\n    while not os.path.exists(path): time.sleep(0.01)\n    return 7\n\
         task = client.submit(wait_for, {flag:?}, workers=['w0'], allow_other_workers=True)"
    ));
    until("w0 is at it", async || (member(&api, "w0").await.unwrap().running == 1).then_some(()))
        .await;
    cluster.process("w0").signal("-STOP");
    let uid = Some("5f3c5a4e-0000-4000-8000-000000000000".to_owned());
    let pod = MemberRef { name: "w0".to_owned(), instance: uid };
    // Another pod of the same name, elsewhere: nothing happens.
    api.lost(&pod, "10.255.255.1", &DeathCause::OomKilled).await.unwrap();
    assert!(member(&api, "w0").await.is_some());

    api.lost(&pod, "127.0.0.1", &DeathCause::Evicted).await.unwrap();
    until("w1 is at it", async || {
        assert!(member(&api, "w0").await.is_none());
        (member(&api, "w1").await.unwrap().running == 1).then_some(())
    })
    .await;
    std::fs::write(&flag, "").unwrap();
    assert_eq!(client.run("result = task.result(30)"), 7);
}
