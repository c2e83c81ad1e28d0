"""A model on the cluster, for Ray Serve: `serve run model_server:app` makes it answer as an OpenAI-compatible server.

It needs `ray[serve,llm]` and a GPU, and was never run by us: tests hold its names against the locked Ray alone.
"""

from ray.serve.llm import LLMConfig, LLMServingArgs, build_openai_app

app = build_openai_app(
    LLMServingArgs(
        llm_configs=[
            LLMConfig(
                # where the files of the model are on every node with a GPU, or its name at Hugging Face
                model_loading_config={"model_id": "my-model", "model_source": "/models/my-model"},
                deployment_config={"autoscaling_config": {"min_replicas": 1, "max_replicas": 2}},
            )
        ]
    )
)
