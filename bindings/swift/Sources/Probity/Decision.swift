/// A reward of an action: its value, and what the action has less than the best one.
public struct RewardAccount: Codable, Hashable, Sendable {
    /// The framework, such as "deontological"; missing for the reward of a moral graph.
    public let framework: String?
    /// The expected reward.
    public let value: Double
    /// The regret: the best action's reward less this one's.
    public let regret: Double
}

/// One action with its moral account.
public struct ActionAccount: Codable, Hashable, Sendable {
    /// The action's id.
    public let action: Int?
    /// Its label, where an agent decided.
    public let label: String?
    /// The probability that the agent takes it, where an agent decided.
    public let probability: Double?
    /// The expected own points.
    public let ownPayoff: Double
    /// The expected points of the other player.
    public let otherPayoff: Double
    /// Each framework's reward and regret.
    public let rewards: [RewardAccount]

    private enum CodingKeys: String, CodingKey {
        case action, label, probability, rewards
        case ownPayoff = "payoff_own"
        case otherPayoff = "payoff_other"
    }
}

/// An action taken, with the policy it was drawn from.
public struct Decision: Codable, Hashable, Sendable {
    /// The action taken, by id.
    public let action: Int
    /// The probability of each action, in order of id.
    public let probabilities: [Double]
    /// Why the decision is not to be relied on, if it is not.
    public let doubt: String?

    /// Whether the legality mass reaches the floor.
    public var isReliable: Bool { doubt == nil }
}

/// The probability of each action in a state, without a decision.
public struct Policy: Codable, Hashable, Sendable {
    /// The probability of each action, in order of id.
    public let probabilities: [Double]
    /// The probability that the model answers with any legal action.
    public let legalityMass: Double
    /// Why the policy is not to be relied on, if it is not.
    public let doubt: String?

    /// Whether the legality mass reaches the floor.
    public var isReliable: Bool { doubt == nil }
}

/// A round: the own action and the other player's, by id.
public struct Round: Codable, Hashable, Sendable {
    public var own: Int
    public var other: Int

    public init(own: Int, other: Int) {
        (self.own, self.other) = (own, other)
    }
}
