import Control
import Gateway
import Kernel

/// What flags and the other layers of the configuration say of calls, in the gateway's words.
struct CallerPolicy: CallPolicy {
    let book: CallerBook

    func known(_ subject: CallSubject) -> CallOrders? {
        book.known(ConfigSubject(subject), Self.question(subject)).map { Self.orders($0) }
    }

    func find(_ subject: CallSubject) async -> CallOrders {
        Self.orders(await book.find(ConfigSubject(subject), Self.question(subject)))
    }

    private static func question(_ subject: CallSubject) -> CallerRules.Question {
        CallerRules.Question(model: subject.model, isModel: subject.isModel, bundle: subject.bundle)
    }

    static func orders(_ rules: CallerRules) -> CallOrders {
        var orders = CallOrders()
        if let model = rules.model, let name = model.winner.value.string {
            orders.model = (name, CallDecider(model))
        }
        orders.tools = rules.deniedTools.mapValues { CallDecider($0) }
        orders.output = limit(rules.limits[CallerRules.outputLimit])
        orders.input = limit(rules.limits[CallerRules.inputLimit])
        orders.total = limit(rules.limits[CallerRules.callLimit])
        orders.session = limit(rules.limits[CallerRules.sessionLimit])
        return orders
    }

    private static func limit(_ value: EffectiveValue?) -> CallOrders.Limit? {
        guard let value, let number = value.winner.value.double else { return nil }
        return CallOrders.Limit(Int64(min(max(0, number), 1e15)), by: CallDecider(value))
    }
}

extension ConfigSubject {
    fileprivate init(_ subject: CallSubject) {
        self.init(agent: subject.agent, user: subject.user, session: subject.session)
    }
}

extension CallDecider {
    fileprivate init(_ value: EffectiveValue) {
        self.init(
            key: value.rule.key, layer: value.winner.layer.rawValue, flag: value.winner.flag,
            variant: value.winner.variant)
    }
}
