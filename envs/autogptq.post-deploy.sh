# Made by make lock from requirements/autogptq.nodeps.txt.
python -m pip install --no-deps auto-gptq==0.7.1
