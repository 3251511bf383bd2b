//! The domain acts: everything that can change, one variant each.
//!
//! An act is decided on the writer thread against the state plus the acts before it, so two of them
//! can never both be right about the same thing. What an act promises is true on disk before its
//! answer is given.

use chrono::{NaiveDate, TimeDelta};
use lubu_channels::{Cost, Step, Timestamp, Words};

use crate::ids::{ChannelNo, DeliveryId, ItemId};
use crate::model::approval::{Approval, OnCorrection};
use crate::model::channel::{Breaker, Pause};
use crate::model::delivery::{Delivery, Event, Illegal, JobNow};
use crate::model::finding::{Look, News, Watch};
use crate::model::halt::Halt;
use crate::model::item::{Item, Revision};
use crate::model::patrol::Patrol;
use crate::model::survey::{Census, Found};

/// Who wants it, and through which door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    pub who: String,
    /// `cli`, `api`, `inbox`, `schedule`, `engine`.
    pub from: &'static str,
}

impl Actor {
    pub fn new(who: impl Into<String>, from: &'static str) -> Self {
        Self {
            who: who.into(),
            from,
        }
    }

    pub fn engine() -> Self {
        Self::new("lubu", "engine")
    }
}

#[derive(Debug)]
pub enum Act {
    /// Gives a configured channel its number, or finds it.
    Register {
        name: String,
        adapter: String,
        account: String,
    },
    Accept(Box<Accept>),
    Revise {
        actor: Actor,
        revision: Box<Revision>,
        note: String,
        schedule: Option<String>,
    },
    Approve(Box<Approve>),
    /// Lets approved items go that wait for this schedule.
    Release {
        actor: Actor,
        items: Vec<ItemId>,
    },
    Withdraw {
        actor: Actor,
        item: ItemId,
        reason: String,
    },
    /// Before the first byte of a step leaves.
    Intent {
        id: DeliveryId,
        version: u64,
        job: Box<JobNow>,
        step: Step,
    },
    /// What came of a step, a look, a wait.
    Settle {
        id: DeliveryId,
        version: u64,
        event: Box<Event>,
        dice: f64,
        lane: Option<LaneNews>,
    },
    /// A person's word on a delivery.
    Decide {
        actor: Actor,
        id: DeliveryId,
        event: Box<Event>,
    },
    /// What came of looking again at what rests as published.
    Verify {
        id: DeliveryId,
        version: u64,
        look: Box<Look>,
    },
    /// How far a pass over a channel has got.
    Patrol(Box<Patrol>),
    /// What a survey of a channel brought; `latest` where this is the first, when the newest post on record
    /// there came up.
    Survey {
        channel: ChannelNo,
        found: Vec<Found>,
        latest: Option<Timestamp>,
    },
    /// Before a look that spends quota. Looks that can wait may spend a share of it only.
    Spend {
        channel: ChannelNo,
        costs: Vec<Cost>,
        share: Share,
    },
    Lane {
        actor: Actor,
        channel: ChannelNo,
        news: LaneNews,
    },
    /// Nothing is sent from now on, for this reason; or, without one, the order is lifted.
    Sending {
        actor: Actor,
        stop: Option<String>,
    },
    /// A person says that the clock, which was doubted, is right: what waits goes back with time, in as many acts as
    /// it needs. Nobody believes the clock before the last.
    SetBack {
        actor: Actor,
        by: TimeDelta,
    },
    /// The same word, in the time that holds from then on.
    ClockRight {
        actor: Actor,
    },
    /// Another configuration is in force from now on.
    Reload {
        actor: Actor,
    },
    /// A schedule's period begins its run; refused when it had one.
    Fire {
        schedule: String,
        period: String,
        due: Timestamp,
    },
    Fired {
        schedule: String,
        period: String,
        done: Words,
    },
    /// These deliveries of an older store are not at rest; with `all`, no others are.
    Note {
        unsettled: Vec<DeliveryId>,
        all: bool,
    },
    /// The folder was restored, copied or lost acts: nothing is sent from now on.
    Withhold,
    /// Removes every record of an item. What else is left of it goes with the folder's own care.
    Erase {
        actor: Actor,
        item: ItemId,
        /// Though the records say that it is public: they are older than its withdrawal.
        outdated: bool,
    },
    /// A person takes the folder over: sending may go on.
    Adopt {
        actor: Actor,
    },
}

/// How much of a quota a look may use up, others' use counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    Whole,
    Percent(u8),
}

/// A new item with its first revision.
#[derive(Debug)]
pub struct Accept {
    pub actor: Actor,
    pub item: Item,
    pub revision: Revision,
    /// The submitter's `Idempotency-Key` and the hash of the body it came with.
    pub key: Option<(String, String)>,
    /// Take it though the same content is here already.
    pub again: bool,
    pub index: Option<IndexRule>,
}

/// How index numbers (索引号) are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRule {
    /// With `{org}`, `{class}`, `{year}` and `{seq}` or `{seq:05}`.
    pub template: String,
    pub org: String,
    /// The year of formation, not of publication (CAT-02).
    pub formed_on: NaiveDate,
}

/// A sign-off with everything it sets in motion.
#[derive(Debug)]
pub struct Approve {
    pub actor: Actor,
    pub approval: Approval,
    /// The packed drafts that the approval names, where they are small enough to travel here.
    pub inline: Option<Vec<u8>>,
    /// What to do on channels that cannot correct in place.
    pub choices: Vec<(ChannelNo, OnCorrection)>,
}

/// What a lane learnt about its channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaneNews {
    Paused(Pause),
    Resumed,
    Breaker(Breaker),
}

#[derive(Debug)]
pub enum Answer {
    Channel(ChannelNo),
    Accepted(Accepted),
    /// The item's deliveries after an approval, release or withdrawal.
    Deliveries(Vec<Delivery>),
    /// The step may run.
    Go(Box<Delivery>),
    /// It may not; the delivery now says why.
    Moved(Box<Delivery>),
    /// After a settlement, and the deliveries that it released.
    Settled(Box<Delivery>, Vec<Delivery>),
    /// After another look at what was published.
    Verified(Box<Verified>),
    Surveyed(Box<Surveyed>),
    Done,
}

#[derive(Debug)]
pub struct Surveyed {
    pub census: Census,
    /// Posts that were not open before.
    pub news: usize,
    /// Why the channel stands still from now on.
    pub pause: Option<Pause>,
}

#[derive(Debug)]
pub struct Verified {
    pub delivery: Delivery,
    pub watch: Option<Watch>,
    pub news: Option<News>,
    /// Other channels' deliveries that may go on.
    pub released: Vec<Delivery>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub item: ItemId,
    pub revision: u32,
    pub index_no: Option<String>,
    /// It was here already: the same key, or the same content.
    pub known: bool,
}

/// Why an act did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    NoItem(ItemId),
    NoRevision(ItemId, u32),
    NoDelivery(DeliveryId),
    NoChannel(ChannelNo),
    /// Somebody changed it meanwhile.
    Stale,
    Illegal(Illegal),
    /// The key came before with another body.
    KeyReused(ItemId),
    /// No approval of exactly this content with scope `public`.
    NotApproved,
    /// What is signed is not what is stored.
    OtherContent,
    /// The drafter cannot sign (SEED-36).
    OwnWork,
    /// Only the newest revision can be signed.
    Superseded {
        latest: u32,
    },
    Withdrawn,
    /// Public copies exist: they must be withdrawn first.
    StillPublic,
    Paused,
    /// Nothing is sent anywhere.
    Halted(Halt),
    QuotaUsed {
        name: String,
        until: Timestamp,
    },
    /// A person who said "not there" cannot order the next send.
    NeedsAnother {
        by: String,
    },
    /// Nobody can say yet that it is not there: what was sent may still arrive.
    TooEarly {
        until: Timestamp,
    },
    /// This period has run.
    Ran,
    /// A record cannot be read; the state must be rebuilt.
    Damaged(&'static str),
    /// The folder was restored or copied, and nobody has taken it over.
    NotAdopted,
    /// There is nothing to take over.
    AdoptedAlready,
    /// Readers may still see it somewhere.
    NotGone(DeliveryId),
}

impl Refusal {
    pub fn words(&self) -> Words {
        match self {
            Self::NoItem(id) => {
                Words::new(format!("没有信息 {id}"), format!("there is no item {id}"))
            }
            Self::NoRevision(id, number) => Words::new(
                format!("信息 {id} 没有第 {number} 版"),
                format!("item {id} has no revision {number}"),
            ),
            Self::NoDelivery(id) => Words::new(
                format!("没有投递 {id}"),
                format!("there is no delivery {id}"),
            ),
            Self::NoChannel(no) => Words::new(
                format!("没有渠道 {}", no.0),
                format!("there is no channel {}", no.0),
            ),
            Self::Stale => Words::new(
                "此条目刚刚被别人改动，请刷新后再试",
                "somebody changed it meanwhile; read it again and retry",
            ),
            Self::Illegal(illegal) => Words::new(
                format!(
                    "当前状态（{}）不能执行此操作（{}）",
                    illegal.state, illegal.event
                ),
                format!("this cannot be done: {illegal}"),
            ),
            Self::KeyReused(id) => Words::new(
                format!("此 Idempotency-Key 已用于信息 {id}，但内容不同"),
                format!("this Idempotency-Key belongs to item {id}, which has another body"),
            ),
            Self::NotApproved => Words::new(
                "没有与此内容一致、范围为主动公开的签发，不能发出",
                "there is no approval of exactly this content with scope public",
            ),
            Self::OtherContent => Words::new(
                "签发的内容与保存的内容不一致，请重新送签",
                "what is being signed is not what is stored; submit it for approval again",
            ),
            Self::OwnWork => Words::new(
                "拟稿人不能签发自己的稿件，请由责任领导签发",
                "the drafter cannot approve their own item; another person must sign",
            ),
            Self::Superseded { latest } => Words::new(
                format!("已有更新的第 {latest} 版，只能签发最新版"),
                format!("there is a newer revision {latest}; only the newest can be approved"),
            ),
            Self::Withdrawn => Words::new(
                "此信息已撤下，不能再签发或修改；如需再次公开请重新提交",
                "this item was withdrawn; submit it anew to publish it again",
            ),
            Self::StillPublic => Words::new(
                "此信息仍在公开渠道上，请先 lubu withdraw 再改变发布范围",
                "this item is still public; withdraw it before its scope is narrowed",
            ),
            Self::Paused => Words::new("渠道已暂停", "the channel is paused"),
            Self::Halted(halt) => halt.words(),
            Self::QuotaUsed { name, until } => quota_used(name, until),
            Self::NeedsAnother { by } => Words::new(
                format!("{by} 已核实平台上没有；再次发送须由另一人决定"),
                format!("{by} said that it is not there; another person must order the next send"),
            ),
            Self::TooEarly { until } => too_early(until),
            Self::Ran => Words::new("本期已经执行过", "this period has run already"),
            Self::NotAdopted => Words::new(
                "数据目录是恢复或复制来的，尚未接管，暂不发送；请运行 lubu adopt",
                "the data folder was restored or copied and is not adopted: nothing is sent before `lubu adopt`",
            ),
            Self::NotGone(id) => Words::new(
                format!(
                    "投递 {id} 尚未确认撤下，不能清除。请先 lubu withdraw，等各渠道都撤下并核实后再清除"
                ),
                format!(
                    "delivery {id} is not known to be gone; withdraw the item and wait until every channel shows it gone"
                ),
            ),
            Self::AdoptedAlready => {
                Words::new("数据目录不需要接管", "the data folder needs no adoption")
            }
            Self::Damaged(what) => Words::new(
                format!("记录（{what}）读不出来，请重启以重建状态库"),
                format!("a record ({what}) cannot be read; restart to rebuild the state"),
            ),
        }
    }
}

fn quota_used(name: &str, until: &Timestamp) -> Words {
    let when = until.format("%Y-%m-%d %H:%M UTC");
    Words::new(
        format!("平台配额 {name} 已用完，{when} 恢复"),
        format!("the quota {name} is used up until {when}"),
    )
}

fn too_early(until: &Timestamp) -> Words {
    let when = until.format("%Y-%m-%d %H:%M:%S UTC");
    Words::new(
        format!("已发出的内容在 {when} 之前仍可能到达平台，此前看不到不等于没有；请到时再核实"),
        format!("what was sent may still arrive until {when}; look again after that"),
    )
}
